// Where lemond 10.6 and 11.7 differ: what they notice, refuse and list. Values are those of the recordings.
import type { Version } from "./types.ts";

export interface Personality {
  readonly version: Version;
  readonly fullVersion: string;
  readonly workers: number;
  readonly reservedArguments: string;
  readonly backends: readonly string[];
  /** 11.7 takes a dead child off the list; 10.6 never looks. */
  readonly noticesDeath: boolean;
  /** Which answers wait for an unload or eviction under way. */
  readonly blockedByUnload: readonly string[];
}

const personalities: Readonly<Record<Version, Personality>> = {
  "10.6": {
    version: "10.6",
    fullVersion: "10.6.0",
    workers: 8,
    reservedArguments:
      "--ctx-size, --device, --embedding, --embeddings, --gpu-layers, --jinja, --mmproj, --mmproj-auto, --mmproj-offload, --mmproj-url, --model, --n-gpu-layers, --no-jinja, --no-mmproj, --no-mmproj-auto, --no-mmproj-offload, --port, --rerank, --reranking, -c, -dev, -m, -mm, -mmu, -ngl",
    backends: ["auto", "cpu", "vulkan"],
    noticesDeath: false,
    blockedByUnload: ["/v1/health", "/v1/stats"],
  },
  "11.7": {
    version: "11.7",
    fullVersion: "11.7.0",
    workers: 32,
    reservedArguments:
      "--ctx-size, --device, --embedding, --embeddings, --jinja, --metrics, --mmproj, --mmproj-auto, --mmproj-url, --model, --model-draft, --no-jinja, --no-mmproj, --no-mmproj-auto, --port, --rerank, --reranking, --spec-draft-model, -c, -dev, -m, -md, -mm, -mmu",
    backends: ["auto", "cpu"],
    noticesDeath: true,
    blockedByUnload: ["/v1/health", "/v1/models"],
  },
};

export const personalityOf = (version: Version): Personality => personalities[version];
