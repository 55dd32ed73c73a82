// The example pictures of the shared workflows are copied to ComfyUI's input folder when a workflow that shows one is
// opened, before its nodes are made: Load Image would call the picture missing.
import { api } from "../../scripts/api.js"
import { app } from "../../scripts/app.js"

app.registerExtension({
  name: "AutoDIR.ExamplePictures",
  async beforeConfigureGraph(graph) {
    const names = JSON.stringify(graph).match(/autodir_\w+\.png/g)
    if (!names) return
    const answer = await api.fetchApi("/autodir/examples", { method: "POST", body: JSON.stringify(names) })
    const copied = answer.ok ? await answer.json() : []
    if (copied.length) await app.refreshComboInNodes()
  },
})
