/** The line under an answer, and the popover that says where its time went. */

export { timingFooter };

/** @param {import("./answer.js").Answer} _answer */
function timingFooter(_answer) {
  return null;
}
