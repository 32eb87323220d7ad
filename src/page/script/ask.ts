// Asks before an operator's action is sent.
import { byId, put } from "./dom.ts";

export interface Question {
  readonly title: string;
  readonly text: string;
  readonly yes: string;
  readonly onYes: () => void;
}

export function createAsk(): (question: Question) => void {
  const dialog = byId("ask", HTMLDialogElement);
  const yesButton = byId("yes", HTMLButtonElement);
  byId("no", HTMLButtonElement).onclick = () => dialog.close();
  return ({ title, text, yes, onYes }) => {
    put(byId("ask-title", HTMLElement), title);
    put(byId("ask-text", HTMLElement), text);
    put(yesButton, yes);
    yesButton.onclick = () => {
      dialog.close();
      onYes();
    };
    dialog.showModal();
  };
}
