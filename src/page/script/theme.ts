// Light, dark, or as the system has it. Remembered by the browser.
import { byId, put } from "./dom.ts";

const THEMES = ["auto", "light", "dark"] as const;

export function createTheme(): void {
  const button = byId("theme", HTMLButtonElement);
  const root = document.documentElement;
  const apply = (theme: string): void => {
    if (theme === "auto") root.removeAttribute("data-theme");
    else root.dataset["theme"] = theme;
    put(button, `Colours: ${theme}`);
  };
  const remembered = (): (typeof THEMES)[number] =>
    THEMES.find((theme) => theme === localStorage.getItem("theme")) ?? "auto";
  button.onclick = () => {
    const next = THEMES[(THEMES.indexOf(remembered()) + 1) % THEMES.length] ?? "auto";
    if (next === "auto") localStorage.removeItem("theme");
    else localStorage.setItem("theme", next);
    apply(next);
  };
  apply(remembered());
}
