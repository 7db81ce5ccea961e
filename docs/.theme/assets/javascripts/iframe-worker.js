// Search for pages that are opened from a folder (file:). Browsers allow no web worker there, so the code of the worker
// runs in a hidden frame instead. The theme expects the name IFrameWorker.
if (location.protocol === "file:") {
  const runtime = `
    postMessage = message => parent.postMessage(message, "*")
    importScripts = async (...urls) => {
      for (const url of urls) await new Promise((loaded, failed) => {
        document.body.append(Object.assign(document.createElement("script"), {src: url, onload: loaded, onerror: failed}))
      })
    }`
  window.IFrameWorker = window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      this.frame = Object.assign(document.createElement("iframe"), {hidden: true})
      document.body.append(this.frame)
      const inside = this.frame.contentWindow
      addEventListener("message", event => {
        if (event.source === inside) this.dispatchEvent(new MessageEvent("message", {data: event.data}))
      })
      inside.document.open()
      inside.document.write(`<body><script>${runtime}</script><script src="${url}"></script></body>`)
      inside.document.close()
      this.ready = new Promise(loaded => inside.addEventListener("load", loaded)) // open() removed all listeners
    }
    postMessage(data) {
      this.ready.then(() => this.frame.contentWindow.dispatchEvent(new MessageEvent("message", {data})))
    }
    terminate() {
      this.frame.remove()
    }
  }
}
