// Whether a child would go on with a text, judged by the prompts of its own template: the templates of real models.
import { describe, expect, test } from "bun:test";
import { judge, type Verdict } from "../../src/dispatch/prompts.ts";

const head = "<|im_start|>user\nName three colours.<|im_end|>\n<|im_start|>assistant\n";
const phi = "<|user|>\nName three colours.<|end|>\n<|assistant|>\n";
const r1 = "<｜begin▁of▁sentence｜><｜User｜>Name three colours.<｜Assistant｜><think>\n";

interface Case {
  readonly before?: string;
  readonly continued: string;
  readonly content?: string;
  readonly reasoning?: string;
  readonly verdict: Verdict;
}

const CASES: Readonly<Record<string, Case>> = {
  "text behind the prompt": { continued: `${head}Red\nGr`, content: "Red\nGr", verdict: "fits" },
  "text that ends with blank lines": { continued: `${head}Red\n\n`, content: "Red\n\n", verdict: "fits" },
  "a template that trims the text": { continued: `${head}Red`, content: "Red\n\n", verdict: "unfit" },
  "a template that closes the message": { continued: `${head}Red<|im_end|>\n`, content: "Red", verdict: "unfit" },
  "the damaged prompt of Phi-3.5": {
    before: phi,
    continued: "<|user|>\nName three colours.<|end|>\n</s>|assistant|>\nRed",
    content: "Red",
    verdict: "unfit",
  },
  "a prompt that lacks its last message": {
    continued: "<|im_start|>assistant\nRed",
    content: "Red",
    verdict: "unfit",
  },
  "white space that differs": { before: `${head}\n`, continued: `${head}Red`, content: "Red", verdict: "fits" },
  "a thought and its answer": {
    continued: `${head}<think>\nThey want colours.\n</think>\n\nRed`,
    reasoning: "They want colours.",
    content: "Red",
    verdict: "fits",
  },
  "a thought that a template without thinking drops": {
    continued: `${head}Red`,
    reasoning: "They want colours.",
    content: "Red",
    verdict: "unfit",
  },
  "a thought alone that is dropped": { continued: head, reasoning: "They want colours.", verdict: "unfit" },
  "a thought alone": { continued: `${head}<think>\nThey want`, reasoning: "They want", verdict: "fits" },
  "a thought that the prompt opens": {
    before: r1,
    continued: `${r1}They want`,
    reasoning: "They want",
    verdict: "fits",
  },
  "a thought that stands in the question only": {
    before: head.replace("Name", "They want colours. Name"),
    continued: `${head.replace("Name", "They want colours. Name")}Red`,
    reasoning: "They want colours.",
    content: "Red",
    verdict: "unfit",
  },
  "a newline at the end of a thought, added again": {
    continued: `${head}<think>\nHm.\n\n</think>\n\nRed`,
    reasoning: "Hm.\n",
    content: "Red",
    verdict: "newlines twice",
  },
  "two newlines at the end of a thought, added again": {
    continued: `${head}<think>\nHm.\n\n\n\n</think>\n\nRed`,
    reasoning: "Hm.\n\n",
    content: "Red",
    verdict: "newlines twice",
  },
  "a newline at the end of a thought that the template trims and adds": {
    continued: `${head}<think>\nHm.\n</think>\n\nRed`,
    reasoning: "Hm.\n",
    content: "Red",
    verdict: "fits",
  },
  "a thought that the child left in the text": {
    continued: `${head}<think>\nHm`,
    content: "<think>\nHm",
    verdict: "unfit",
  },
  "a thought in the text behind a space": {
    continued: `${head}\n [THINK]Hm`,
    content: "\n [THINK]Hm",
    verdict: "unfit",
  },
  "a text that speaks of thoughts": { continued: `${head}A <think> tag`, content: "A <think> tag", verdict: "fits" },
};

describe.each(Object.entries(CASES))("%s", (_, { before = head, continued, content = "", reasoning = "", verdict }) => {
  test(verdict, () =>
    expect(
      judge(before, continued, { content, reasoning, events: 1, end: "open", id: "", created: 0, model: "" }),
    ).toBe(verdict),
  );
});
