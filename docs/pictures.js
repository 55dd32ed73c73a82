// What docs/pictures.py asks of ComfyUI's page.
window.pictures = {
    focus: () => { app.extensionManager.focusMode = true; },
    load: async ([prompt, name]) => {
        app.clean();  // else nodes show the results of earlier ones with their ids
        await app.loadApiJson(prompt, name);
    },
    run: () => new Promise(async (resolve, reject) => {
        const refuse = ({detail}) => reject(new Error(`${detail.node_type}: ${detail.exception_message}`));
        app.api.addEventListener('execution_success', () => resolve(), {once: true});
        app.api.addEventListener('execution_error', refuse, {once: true});
        try {
            // not what the button calls: that asks for a login on the net first
            const {node_errors} = await app.api.queuePrompt(0, await app.graphToPrompt());
            if (Object.keys(node_errors ?? {}).length) reject(new Error(JSON.stringify(node_errors)));
        } catch (error) {
            reject(new Error(`${error.message} ${JSON.stringify(error.response ?? {})}`));
        }
    }),
    allDrawn: () => app.graph.nodes.every(node => !app.nodeOutputs[node.id]?.images?.length
        || (node.imgs?.length && node.imgs.every(one => one.complete && one.naturalWidth))),
    removeFrom: first => app.graph.nodes.filter(node => node.id >= first).forEach(node => app.graph.remove(node)),
    layOut: columns => {
        let x = 0;
        for (const nodes of columns.map(column => column.map(number => app.graph.getNodeById(number)))) {
            let y = 0;
            for (const node of nodes) {
                node.pos = [x, y];
                node.setSize([Math.max(node.size[0], 240), node.size[1]]);  // a narrow one cuts off its title
                y += node.size[1] + 70;
            }
            x += Math.max(...nodes.map(node => node.size[0])) + 80;
        }
    },
    bounds: () => {
        const boxes = [...app.graph.nodes, ...app.graph.groups].map(one => [...one.pos, ...one.size]);
        const tops = app.graph.nodes.map(node => node.pos[1] - 52);  // the title and the pack's name above it
        return [
            Math.min(...boxes.map(box => box[0])), Math.min(...tops, ...boxes.map(box => box[1])),
            Math.max(...boxes.map(box => box[0] + box[2])), Math.max(...boxes.map(box => box[1] + box[3])),
        ];
    },
    frame: ([left, top, scale]) => {
        app.canvas.deselectAll();
        app.canvas.ds.scale = scale;
        app.canvas.ds.offset = [-left, -top];
        app.canvas.setDirty(true, true);
    },
};
