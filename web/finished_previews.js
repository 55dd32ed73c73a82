// Restore shows a montage when it has finished, but the page shows the last live preview of a node in its place, or both
// one below the other, until the node runs again. Here the preview goes as soon as the montage is there.
import { api } from "../../scripts/api.js"
import { app } from "../../scripts/app.js"

const nodeOf = (id) => {
  let graph = app.rootGraph ?? app.graph
  let node
  for (const part of id.split(":")) {
    node = graph?.getNodeById(part)
    graph = node?.subgraph
  }
  return node
}

// the page has no other way to end a preview
const outputsOfPage = () =>
  document.querySelector("#vue-app")?.__vue_app__?.config.globalProperties.$pinia?._s.get("nodeOutput")

app.registerExtension({
  name: "AutoDIR.FinishedPreviews",
  setup() {
    api.addEventListener("executed", ({ detail }) => {
      const id = String(detail.display_node ?? detail.node)
      if (nodeOf(id)?.type === "AutoDIRRestore") outputsOfPage()?.revokePreviewsByExecutionId?.(id)
    })
  },
})
