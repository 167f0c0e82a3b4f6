// function_lines.mjs <where typescript is installed> <file...>: the length of every function, one a line.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [, , tools, ...files] = process.argv;
const ts = createRequire(`${tools}/`)("typescript");

for (const file of files) {
  const source = ts.createSourceFile(file, readFileSync(file, "utf-8"), ts.ScriptTarget.Latest, true);
  const line = (position) => source.getLineAndCharacterOfPosition(position).line;
  const visit = (node) => {
    if (ts.isFunctionLike(node) && node.body) {
      const first = line(node.getStart());
      console.log(`${line(node.end) - first + 1} ${file}:${first + 1}`);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
}
