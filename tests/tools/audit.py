"""`make audit`: known vulnerabilities, licences, and a bill of materials of the dependencies.

Run by a Python with the tools of requirements-audit.txt. Arguments: the folder of a virtual
environment that holds only requirements.txt, and the file for the bill. The exit code is 1 if a
vulnerability is known. A package that could not be checked is reported, without a verdict.
"""

import json
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

PIP_AUDIT = ("--require-hashes", "--disable-pip", "--progress-spinner", "off", "-f", "json")


def main(environment: str, bill: str) -> int:
    found = vulnerabilities(Path("requirements.txt"))
    tool("cyclonedx_py", "environment", environment, "--output-reproducible", "-o", bill)
    components = json.loads(Path(bill).read_text())["components"]
    # an older notation, which is not part of the bill
    folders = [str(folder) for folder in Path(environment).glob("lib/python*/site-packages")]
    elsewhere = {
        one.name: one.metadata["License"]
        for one in distributions(path=folders)
        if "License" in one.metadata
    }
    report("licences:")
    for component in sorted(components, key=lambda component: str(component["name"]).lower()):
        said = licence(component) or elsewhere.get(component["name"]) or "not said"
        report(f"  {component['name']} {component['version']}: {said}")
    report(f"bill of materials (CycloneDX): {bill}, {len(components)} components")
    return found


def vulnerabilities(requirements: Path) -> int:
    """Report known vulnerabilities and unchecked packages; return 1 if any is known."""
    done = tool("pip_audit", *PIP_AUDIT, "-r", str(requirements), check=False)
    try:
        dependencies = json.loads(done.stdout)["dependencies"]
    except ValueError:
        report("vulnerabilities: not asked; pip-audit reached no database")
        return 0
    asked = [dependency for dependency in dependencies if "vulns" in dependency]
    known = [(one["name"], one["version"], vuln) for one in asked for vuln in one["vulns"]]
    for name, version, vuln in known:
        mended = ", ".join(vuln["fix_versions"]) or "no version yet"
        report(f"  {name} {version}: {vuln['id']}, mended in {mended}")
    report(f"vulnerabilities: {len(known)} known in {len(asked)} of {len(dependencies)} packages")
    if len(asked) < len(dependencies):
        report(f"  {len(dependencies) - len(asked)} could not be asked about: no verdict on those")
    return int(bool(known))


def licence(component: dict[str, Any]) -> str:
    """Return the licence in the metadata, in short."""
    said = [
        one.get("expression") or one["license"].get("id") or one["license"].get("name", "")
        for one in component.get("licenses", ())
    ]
    return ", ".join(sorted({name.splitlines()[0] for name in said if name}))


def tool(module: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=None if check else subprocess.DEVNULL,
        text=True,
        check=check,
    )


def report(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
