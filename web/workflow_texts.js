// Titles and notes of the shared workflows in the language of the page. Texts that someone changed stay as they are.
import { app } from "../../scripts/app.js"

app.registerExtension({
  name: "AutoDIR.WorkflowTexts",
  async beforeConfigureGraph(graph) {
    const language = app.extensionManager?.setting?.get("Comfy.Locale") ?? ""
    if (language !== "zh" || !JSON.stringify(graph).includes('"AutoDIR')) return
    const answer = await fetch(new URL("workflow_texts.zh.json", import.meta.url))
    if (!answer.ok) return
    const { titles, notes } = await answer.json()
    for (const one of [...(graph.nodes ?? []), ...(graph.groups ?? [])]) {
      if (one.title) one.title = titles[one.title] ?? one.title
    }
    for (const node of graph.nodes ?? []) {
      if (node.type === "MarkdownNote") node.widgets_values = node.widgets_values?.map((text) => notes[text] ?? text)
    }
  },
})
