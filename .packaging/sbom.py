#!/usr/bin/env python3
"""Prints a software bill of materials in SPDX 2.3 JSON: `sbom.py VERSION EPOCH FILE...`.

It lists the Swift packages and the Swift runtime that FILEs contain, and the Debian packages of the libraries that they
link. Run it on the system of the build, in the folder of the package."""

import datetime
import hashlib
import json
import pathlib
import platform
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def swift_packages():
    """Yields name, version, license, URL and purl of each package whose modules the program contains."""
    objects = (ROOT / ".build/release/confab.product/Objects.LinkFileList").read_text()
    modules = set(re.findall(r"/(\w+)\.build/", objects))
    pins = json.loads((ROOT / "Package.resolved").read_text())["pins"]
    for pin in sorted(pins, key=lambda pin: pin["identity"]):
        name, state = pin["identity"], pin["state"]
        sources = ROOT / ".build/checkouts" / name / "Sources"
        if any((sources / module).exists() for module in modules):
            version = state.get("version", state["revision"])
            place = pin["location"].removeprefix("https://").removesuffix(".git")
            yield name, version, "Apache-2.0", f"git+{pin['location']}@{state['revision']}", f"pkg:swift/{place}@{version}"
    version = re.search(r"Swift version (\S+)", run("swiftc", "--version"))[1]
    yield "swift-runtime", version, "Apache-2.0", "https://swift.org", f"pkg:generic/swift@{version}"


def debian_packages(files):
    """Yields name, version and architecture of the packages with the libraries that `files` link directly."""
    found = set()
    for file in files:
        needed = re.findall(r"NEEDED.*\[(.*)\]", run("readelf", "-d", str(file)))
        paths = dict(re.findall(r"(\S+) => (\S+)", run("ldd", str(file))))
        for path in filter(None, (paths.get(name) for name in needed)):
            # The package lists the file under /usr/lib or /lib.
            names = {path, str(pathlib.Path(path).resolve()), path.removeprefix("/usr")}
            owners = [owner for name in sorted(names) if (owner := subprocess.run(
                ["dpkg", "-S", name], capture_output=True, text=True).stdout)]
            if owners:
                found.add(owners[0].split(": ")[0].split(",")[0])
    for name in sorted(found):
        yield run("dpkg-query", "-W", "-f=${Package}\t${Version}\t${Architecture}", name).split("\t")


def package(name, version, license, location, purl):
    return {
        "SPDXID": "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", name), "name": name, "versionInfo": version,
        "downloadLocation": location, "filesAnalyzed": False, "licenseConcluded": "NOASSERTION",
        "licenseDeclared": license, "copyrightText": "NOASSERTION",
        "externalRefs": [
            {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl}]}


def main(version, epoch, *files):
    packages = [package("confab", version, "MIT", "NOASSERTION", f"pkg:generic/confab@{version}")]
    relations = []
    for entry in swift_packages():
        packages.append(package(*entry))
        relations.append((packages[-1]["SPDXID"], "CONTAINS"))
    for name, one, architecture in debian_packages(files):
        purl = f"pkg:deb/{platform.freedesktop_os_release()['ID']}/{name}@{one}?arch={architecture}"
        packages.append(package(name, one, "NOASSERTION", "NOASSERTION", purl))
        relations.append((packages[-1]["SPDXID"], "DYNAMIC_LINK"))
    digest = hashlib.sha256(b"".join(pathlib.Path(file).read_bytes() for file in files)).hexdigest()
    document = {
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": f"confab-{version}",
        "documentNamespace": f"urn:confab:{version}:{digest}",
        "creationInfo": {
            "created": datetime.datetime.fromtimestamp(int(epoch), datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "creators": ["Tool: .packaging/sbom.py"]},
        "packages": packages,
        "relationships": [
            {"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-confab"},
            *({"spdxElementId": "SPDXRef-confab", "relationshipType": kind, "relatedSpdxElement": other}
              for other, kind in relations)]}
    json.dump(document, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main(*sys.argv[1:])
