// Judges an AsyncAPI document with the official parser. Ends with 1 if it has an error, or if the
// parser takes a document that is wrong. The patterns in it must be regular expressions of
// JavaScript, since JSON Schema means those.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const ERROR = 0;

async function errorsOf(text) {
  const { diagnostics, document } = await new Parser().parse(text);
  const errors = diagnostics.filter((found) => found.severity === ERROR);
  return { errors, document };
}

function patternsIn(value) {
  if (value === null || typeof value !== "object") return [];
  const own = typeof value.pattern === "string" ? [value.pattern] : [];
  return [...own, ...Object.values(value).flatMap(patternsIn)];
}

function fail(text) {
  console.error(`contract: ${text}`);
  process.exit(1);
}

const text = readFileSync(process.argv[2], "utf8");
const { errors, document } = await errorsOf(text);
for (const { path, message } of errors) console.error(`${path.join(".")}: ${message}`);
if (errors.length > 0 || document === undefined) fail("the AsyncAPI document is not valid");

const schemas = document.components().schemas().all().map((schema) => schema.json());
const patterns = new Set(schemas.flatMap(patternsIn));
for (const pattern of patterns) new RegExp(pattern, "u");
if (patterns.size === 0) fail("no pattern was found");

const wrong = [
  text.replace('action: "receive"', 'action: "take"'),
  text.replace("#/components/schemas/Execute\"", "#/components/schemas/Nothing\""),
  text.replace('type: "object"', 'type: "thing"'),
];
for (const changed of wrong) {
  if (changed === text) fail("a document was to be spoiled and was not");
  if ((await errorsOf(changed)).errors.length === 0) fail("the parser takes a document that is wrong");
}

const operations = document.operations().all().length;
console.log(`contract: the AsyncAPI document is valid, with ${operations} operations`);
