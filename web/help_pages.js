// Help pages of this pack in the page's narrow side panel: there the rows of a table are blocks, so that nothing is cut.
import { app } from "../../scripts/app.js"

const OURS = '.node-help-content:has(img[src*="/docs/AutoDIR"])'
const STYLE = `
  ${OURS} { container-type: inline-size; overflow-wrap: anywhere; }
  @container (max-width: 480px) {
    ${OURS} thead { display: none; }
    ${OURS} :is(table, tbody, tr, td) { display: block; width: 100%; }
    ${OURS} tr { padding: 0.5em 0; }
    ${OURS} td { padding: 0.1em 0; border: none; }
    ${OURS} td + td + td { opacity: 0.75; }
  }`

app.registerExtension({
  name: "AutoDIR.HelpPages",
  setup() {
    const style = document.createElement("style")
    style.textContent = STYLE
    document.head.append(style)
  },
})
