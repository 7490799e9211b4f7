"""Asks DNF which packages a ramdisk needs, through DNF's own interface; installs nothing and reads no file of the host.

Standard input: {"folder", "arch", "repositories": [{"id", "url"}], "packages", "optional"}
Standard output: {"packages": [{"name", "version", "architecture", "location", "sha256", "bytes", "repository", "depends",
"provides"}], "absent": [...]}, or {"unsolvable": text}.

The rows are what DNF would install into an empty root with --installroot and --forcearch, without weak dependencies.
"""

import binascii
import json
import os
import sys

import dnf
import dnf.exceptions
import hawkey


def open_base(question):
    folder = question["folder"]
    base = dnf.Base(dnf.conf.Conf())
    conf = base.conf
    conf.config_file_path = ""
    conf.installroot = os.path.join(folder, "root")
    conf.cachedir = os.path.join(folder, "cache")
    conf.logdir = folder
    conf.persistdir = os.path.join(folder, "state")
    conf.reposdir = []
    conf.varsdir = []
    conf.pluginpath = []
    conf.ignorearch = True
    conf.substitutions["arch"] = question["arch"]
    conf.substitutions["basearch"] = question["arch"]
    conf.substitutions["releasever"] = ""
    conf.install_weak_deps = False
    conf.best = True
    conf.gpgcheck = False  # each downloaded file is checked by rpmkeys, against the keys of the distribution
    conf.zchunk = False
    for repository in question["repositories"]:
        base.repos.add_new_repo(repository["id"], conf, baseurl=[repository["url"]], metadata_expire=0)
    os.makedirs(conf.installroot, exist_ok=True)
    return base


def row_of(package, chosen, sack):
    kind, digest = package.chksum
    if kind != hawkey.CHKSUM_SHA256:
        raise dnf.exceptions.Error("%s has no SHA-256 digest in the repository's lists" % package)
    depends = set()
    for wanted in list(package.requires) + list(package.requires_pre):
        for provider in sack.query().filterm(pkg=chosen).filter(provides=wanted):
            depends.add(provider.name)
        if str(wanted).startswith("/"):
            for provider in sack.query().filterm(pkg=chosen).filter(file=str(wanted)):
                depends.add(provider.name)
    depends.discard(package.name)
    return {
        "name": package.name,
        "version": package.evr,
        "architecture": package.arch,
        "location": package.location,
        "sha256": binascii.hexlify(digest).decode(),
        "bytes": package.downloadsize,
        "repository": package.reponame,
        "depends": sorted(depends),
        "provides": sorted({str(one).split(" ")[0] for one in package.provides} - {package.name}),
    }


def solve(question):
    base = open_base(question)
    base.fill_sack(load_system_repo=False)
    absent = []
    try:
        for name in question["packages"]:
            base.install_specs([name])
        for name in question["optional"]:
            if base.sack.query().available().filter(name=name):
                base.install_specs([name])
            else:
                absent.append(name)
        base.resolve()
    except dnf.exceptions.MarkingErrors as error:
        names = list(error.no_match_pkg_specs) or [str(error)]
        return {"unsolvable": "the mirror has no package " + ", ".join(names)}
    except dnf.exceptions.DepsolveError as error:
        return {"unsolvable": str(error).strip()}
    chosen = sorted(base.transaction.install_set, key=lambda one: (one.name, one.evr, one.arch))
    return {"packages": [row_of(one, chosen, base.sack) for one in chosen], "absent": absent}


json.dump(solve(json.load(sys.stdin)), sys.stdout)
