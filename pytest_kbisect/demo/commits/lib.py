"""Library code."""

from __future__ import annotations

from pytest_kbisect.demo.change import Edit, change

CHANGES = (
    change(
        "lib: percpu_counter: fold larger batches",
        "lib/percpu_counter.c",
        "percpu_counter_batch __read_mostly = 32",
        "percpu_counter_batch __read_mostly = 40",
        "Raised at run time on large machines; begin closer to it.",
    ),
    change(
        "lib: nlattr: allow policies to nest one level more",
        "lib/nlattr.c",
        "MAX_POLICY_RECURSION_DEPTH\t10",
        "MAX_POLICY_RECURSION_DEPTH\t11",
        "A driver out of tree is at ten.",
    ),
    change(
        "lib: kobject: name the duplicate",
        "lib/kobject.c",
        "don't try to register things with the same name in the same directory.",
        "the name is taken in this directory.",
        "The reader is rarely the one who tried.",
    ),
    change(
        "lib: kobject_uevent: spell out synthetic",
        "lib/kobject_uevent.c",
        "synth uevent: %s: %s",
        "synthetic uevent: %s: %s",
        "It is the word that the documentation uses.",
    ),
    change(
        "lib: devres: name what could not be generated",
        "lib/devres.c",
        "can't generate pretty name for resource %pR",
        "can't generate a pretty name for resource %pR",
        "As everywhere else, with an article.",
    ),
    change(
        "lib: show_mem: call it memory",
        "lib/show_mem.c",
        "Mem-Info:",
        "Memory info:",
        "Nobody parses the old words: checked with a code search.",
        Edit("mm/show_mem.c", "Mem-Info:", "Memory info:"),
    ),
    change(
        "lib: cpu_rmap: say what failed to update",
        "lib/cpu_rmap.c",
        "irq_cpu_rmap_notify: update failed",
        "irq_cpu_rmap_notify: update of the map failed",
        "One function, several things to update.",
    ),
    change(
        "lib: percpu-refcount: word the underflow",
        "lib/percpu-refcount.c",
        "%s(): percpu_ref underflow",
        "%s(): underflow of a percpu_ref",
        "As refcount_t does.",
    ),
    change(
        "lib: iomap: report a few bad accesses more",
        "lib/iomap.c",
        "static int count = 10;",
        "static int count = 12;",
        "Ten are printed by one driver's probe.",
    ),
    change(
        "lib: vsprintf: tell what is too wide",
        "lib/vsprintf.c",
        "field width %d too large",
        "field width %d is too large",
        "A verb.",
    ),
    change(
        "lib: vsprintf: tell what is too precise",
        "lib/vsprintf.c",
        "precision %d too large",
        "precision %d is too large",
        "As for the width.",
    ),
)
