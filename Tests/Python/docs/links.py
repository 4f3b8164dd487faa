#!/usr/bin/env python3
"""Relative links between documents. They are written for a Git host: `[Security](Security.md#tests)`.

`links.py` checks that each link has its file and its heading. `links.py SITE` makes the links work in the site that DocC
has built in SITE, where an article has another address and headings have other anchors."""

import json
import pathlib
import re
import shutil
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
ARTICLES = {file.name: file for file in ROOT.glob("Sources/*/*.docc/*.md")}
DOCUMENTS = [ROOT / "README.md", *ROOT.glob(".github/*.md"), *ARTICLES.values()]


def prose(file):
    return re.sub(r"^```.*?^```$", "", file.read_text(), flags=re.M | re.S)


def anchor(heading):
    """The anchor that Git hosts give to a heading."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def broken():
    """The links without a target, as file and link."""
    for file in DOCUMENTS:
        for link in re.findall(r"\]\(([^)]+)\)", re.sub(r"`[^`]*`", "", prose(file))):
            if "://" in link:
                continue
            path, _, part = link.partition("#")
            target = file.parent / path if path else file
            headings = re.findall(r"^#+ (.*)$", prose(target), re.M) if target.suffix == ".md" and target.is_file() else []
            if not target.exists() or part and part not in map(anchor, headings):
                yield f"{file.relative_to(ROOT)}: {link}"


def address(link, page, site):
    """The address in the site of a link on the page with this file."""
    path, _, part = link.partition("#")
    name = pathlib.PurePath(path).name
    if path and name not in ARTICLES:
        source = next(ROOT.glob(f"Sources/*/*.docc/{path}"))
        shutil.copy(source, site)
        return f"/{name}"
    if path:
        article = ARTICLES[name]
        module = article.parent.stem.lower()
        url = f"/documentation/{module}" + (f"/{article.stem.lower()}" if article.stem.lower() != module else "")
        page = site / f"data{url}.json"
    else:
        url = "/" + str(page.relative_to(site / "data").with_suffix(""))
    anchors = re.findall(r'"anchor" *: *"([^"]+)"', page.read_text())
    return url + next((f"#{one}" for one in anchors if anchor(one) == part), "")


def main(site=None):
    if wrong := list(broken()):
        sys.exit("links without a target:\n" + "\n".join(wrong))
    for page in pathlib.Path(site).rglob("data/documentation/**/*.json") if site else []:
        content = json.loads(page.read_text())
        for reference in content.get("references", {}).values():
            url = reference.get("url", "")
            if reference.get("type") == "link" and "://" not in url and not url.startswith(("/", "mailto:")):
                reference["url"] = address(url, page, pathlib.Path(site))
        page.write_text(json.dumps(content, ensure_ascii=False, separators=(",", ":")))


if __name__ == "__main__":
    main(*sys.argv[1:])
