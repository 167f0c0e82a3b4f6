"""axe's rules of WCAG 2.2 AA, asked of the page as it stands."""

from pathlib import Path

from tests.browser.visit import Visit

RULES = """async () => {
  const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];
  const { violations } = await axe.run(document, { runOnly: tags });
  return violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.html).join(" ")}`);
}"""


async def violations(visit: Visit, axe: Path) -> list[str]:
    await visit.page.add_script_tag(path=axe)
    found: list[str] = await visit.page.evaluate(RULES)
    return found
