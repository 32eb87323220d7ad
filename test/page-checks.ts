// What is run inside the page to judge how it reads. Text, since the browser's types are not this program's.

/** Run in the page: texts whose contrast with what is behind them is under the 4.5 of WCAG AA. */
export const FAULTS_OF_CONTRAST = `(() => {
  const channels = (color) => (color.match(/[\\d.]+/g) ?? []).map(Number);
  const luminance = (color) => {
    const [r, g, b] = channels(color).map((c) => (c / 255 <= 0.03928 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    const { backgroundColor } = getComputedStyle(node);
    return channels(backgroundColor)[3] === 0 && node.parentElement ? behind(node.parentElement) : backgroundColor;
  };
  return [...document.body.querySelectorAll("*")].flatMap((node) => {
    const isText = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (!isText || node.tagName === "SCRIPT" || !node.checkVisibility()) return [];
    const [low, high] = [getComputedStyle(node).color, behind(node)].map(luminance).sort((a, b) => a - b);
    const contrast = (high + 0.05) / (low + 0.05);
    return contrast < 4.5 ? [node.tagName + " " + node.textContent + " " + contrast.toFixed(2)] : [];
  });
})()`;
