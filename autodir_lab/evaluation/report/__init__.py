"""The report of an evaluation: tables as Markdown and CSV, JSON, an HTML page, and a contact sheet."""
