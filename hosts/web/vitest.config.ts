import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    projects: [
      { test: { name: "unit", include: ["tests/unit/**/*.test.ts"], testTimeout: 60_000 } },
      {
        // One browser at a time: each page runs models, and two would only share the cores.
        test: {
          name: "page",
          include: ["tests/page/**/*.test.ts"],
          testTimeout: 200_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
