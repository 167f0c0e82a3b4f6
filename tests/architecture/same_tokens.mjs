// same_tokens.mjs <where typescript is installed> <folder of stripped scripts> <script...>: those whose tokens differ.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, join } from "node:path";

const [, , tools, stripped, ...scripts] = process.argv;
const ts = createRequire(`${tools}/`)("typescript");

// every token of the syntax tree with its line: comments are none
const tokens = (file) => {
  const source = ts.createSourceFile(file, readFileSync(file, "utf-8"), ts.ScriptTarget.Latest, true);
  const found = [];
  const visit = (node) => {
    const children = node.getChildren(source).filter((child) => !ts.isJSDoc(child));
    if (children.length === 0) found.push(`${source.getLineAndCharacterOfPosition(node.getStart(source)).line} ${node.getText(source)}`);
    children.forEach(visit);
  };
  visit(source);
  return found.join("\n");
};

for (const script of scripts) if (tokens(script) !== tokens(join(stripped, basename(script)))) console.log(script);
