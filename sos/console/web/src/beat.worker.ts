/** A clock that the browser does not slow down when the page is in the background: one message every five seconds. */

setInterval(() => postMessage("beat"), 5000);
