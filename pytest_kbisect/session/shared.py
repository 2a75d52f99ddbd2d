"""What one pytest session shares: the tree, its kernels, the guests' image, the accelerator."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import re
import shutil
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_kbisect import atomic, options, parallel, variables
from pytest_kbisect.errors import HostError, UsageError
from pytest_kbisect.session.events import Events
from pytest_kbisect.session.session_request import request_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pytest

    from pytest_kbisect.arch import Architecture
    from pytest_kbisect.errors import KbisectError
    from pytest_kbisect.guest.accelerator import Accelerator
    from pytest_kbisect.guest.devices import Devices
    from pytest_kbisect.guest.disk import DiskImage
    from pytest_kbisect.guest.guests import Guests
    from pytest_kbisect.guest.initramfs import GuestImage
    from pytest_kbisect.guest.qemu import Machine
    from pytest_kbisect.guest.vm import Guest
    from pytest_kbisect.kernel.config import ConfigRequest
    from pytest_kbisect.kernel.image import KernelImage
    from pytest_kbisect.kernel.rules import BuildRules
    from pytest_kbisect.kernel.selftests import Selftest
    from pytest_kbisect.kernel.tree import LinuxTree
    from pytest_kbisect.needs import Needs
    from pytest_kbisect.session.recording import Layout, Recorded
    from pytest_kbisect.session.session_request import SessionRequest
    from pytest_kbisect.session.watching import Places, Watched


_CMDLINE = "--kbisect-cmdline, kbisect-cmdline:"
_QEMU = "--kbisect-qemu, kbisect-qemu:"


def _kernel_arguments(kernel: KernelImage) -> str:
    """What is added to a kernel's command line: without it KASAN reports the first bug of a boot only."""
    config = kernel.config.read_text("utf-8", "replace")
    return "kasan_multi_shot" if "\nCONFIG_KASAN=y\n" in config else ""


class Session:
    """Lives as long as one pytest process; closing it removes its folder of keys and images."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self.cache = options.cache_folder(config)
        self.fragments: dict[str, tuple[tuple[str, str], ...]] = {"": ()}
        """What the selected tests ask of each configuration, by its name (see reproducers.fragments)."""
        self.rootdir, self.inifile = config.rootpath, config.inipath
        self.request = request_of(config)
        """What a bisection wants of this session."""
        folder = Path(self.request.folder) if self.request.folder else None
        self.bisecting = folder is not None
        """Whether a bisection started this session, at one of its commits."""
        self.consoles = folder / "runs" if folder else None
        """Where consoles are kept; set before the first guest."""
        self.events = Events(config, folder)
        self.host = os.environ.get(variables.HOST) or platform.node()
        self.ran_on = ""
        """What the latest guest ran on: accelerator and processor."""
        self._resources = contextlib.ExitStack()
        self._kernels: dict[str, KernelImage | Exception] = {}
        self._guests_by: dict[bool, Guests] = {}
        self._selftests: dict[str, Selftest] = {}
        self._layouts: dict[str, Layout] = {}
        self._places: dict[tuple[str, tuple[str, ...]], Places] = {}
        self.collection_error: KbisectError | None = None
        """Found while tests were collected, raised by the first of them: a worker cannot end a session."""

    def close(self) -> None:
        self._resources.close()

    def check_host(self, *, guests: bool = True) -> None:
        """Check what would fail at the first kernel, or guest. Raises HostError or UsageError."""
        from pytest_kbisect import host
        from pytest_kbisect.guest import user_space
        from pytest_kbisect.kernel import host_limits

        _ = self.disk  # raises where it cannot be used
        host_limits.require_path(self.cache)
        purposes = [host.Purpose.BUILD] if not options.value(self._config, "prebuilt") else []
        purposes += [host.Purpose.GUEST] if guests else []
        absent = host.missing(*purposes, architecture=self.architecture)
        host.require_tools((tool for tool in absent if not tool.optional), architecture=self.architecture)
        if guests and not self.architecture.is_native():
            found = user_space.of(self.architecture, self.cache)
            _ = found.dropbear if self.disk is None else found
        try:
            self.cache.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"cannot make the cache folder {self.cache}: {error.strerror}; give --kbisect-cache"
            ) from None
        if not os.access(self.cache, os.W_OK | os.X_OK):
            raise UsageError(f"cannot write the cache folder {self.cache}: give --kbisect-cache")

    # -- the kernel ----------------------------------------------------------------------------------

    @cached_property
    def tree(self) -> LinuxTree:
        from pytest_kbisect.kernel.tree import LinuxTree

        path = options.value(self._config, "kernel")
        if path is None:
            raise UsageError("no kernel to test: give --kbisect-kernel DIR, a git tree of Linux")
        return LinuxTree(path, self.cache)

    @cached_property
    def commit(self) -> str:
        return self.tree.resolve(options.value(self._config, "commit"))

    @cached_property
    def architecture(self) -> Architecture:
        return options.architecture(self._config)

    def config_request(self, configuration: str) -> ConfigRequest:
        """What the user's files and the selected reproducers ask of a configuration."""
        return options.kernel_request(
            self._config, self.fragments.get(configuration, ()), whole=self.request.configuration
        )

    def kernel(self, configuration: str = "") -> KernelImage:
        """The kernel of this session, built once whatever the number of workers; failures are kept too."""
        if self.collection_error is not None:
            raise self.collection_error
        known = self._kernels.get(configuration)
        if known is None:
            try:
                known = self._provide(configuration)
            except Exception as error:  # noqa: BLE001 - raised below, and again for the next test
                known = error
            self._kernels[configuration] = known
        if isinstance(known, Exception):
            raise known
        return known

    def _provide(self, configuration: str) -> KernelImage:
        from pytest_kbisect.kernel.provide import provide

        return self._resources.enter_context(
            provide(
                self.tree,
                self.commit,
                self.config_request(configuration),
                jobs=options.jobs(self._config),
                progress=lambda message: self.events.progress(self.commit, message),
                rules=self.rules(configuration),
                owner=os.environ.get("PYTEST_XDIST_TESTRUNUID", ""),
            )
        )

    def rules(self, configuration: str) -> BuildRules:
        """What builds are made with: as the bisection says, else chosen for this commit."""
        from pytest_kbisect.kernel import compiler_choice, toolchain

        rules, named = options.build_rules(self._config), options.compiler(self._config)
        if options.value(self._config, "prebuilt"):
            return rules
        if self.request.remedies is not None:
            tools = toolchain.find(self.architecture, named)
            if self.request.compiler not in {"", tools.identity}:
                raise HostError(
                    f"this machine's compiler is {tools.identity}, the bisection builds with"
                    f" {self.request.compiler}: install that one here, or begin a new bisection"
                )
            return replace(rules, compiler=named, remedies=self.request.remedies)
        ends = compiler_choice.Ends(((options.value(self._config, "commit"), self.commit),))
        chosen = compiler_choice.choose(
            self.tree,
            ends,
            [self.config_request(configuration)],
            named,
            with_remedies=not options.value(self._config, "no-remedies"),
        )
        for words in chosen.remarks:
            self.events.say_once(f"note: {words}")
        return chosen.rules(rules)

    def selftest(self, name: str) -> Selftest:
        """The kselftest DIR/TEST, of the commit that the bisection names, else of this one; built once."""
        from pytest_kbisect.kernel import selftests, toolchain

        commit = self.request.selftests or self.commit
        if name not in self._selftests:
            found = toolchain.find(self.architecture, options.compiler(self._config))
            folder = self.cache / "selftests"
            self._selftests[name] = selftests.build(self.tree, commit, name, found, folder)
        return self._selftests[name]

    # -- guests ----------------------------------------------------------------------------------------

    @cached_property
    def folder(self) -> Path:
        """This process' own folder for keys, images and consoles; what dead processes left is swept."""
        from pytest_kbisect.scratch import scratch_folder

        return self._resources.enter_context(scratch_folder(self.cache / "run"))

    def share(self) -> Path:
        """The folder that all processes of this session, or bisection, share: keys, image, frozen guests.

        The first process that asks makes it, for itself and for those that it starts from then on. It goes
        when that process ends.
        """
        return self._shared

    @cached_property
    def _shared(self) -> Path:
        given = os.environ.get(variables.SHARED)
        if given and Path(given).is_dir():
            return Path(given)
        from pytest_kbisect.guest.pool import Pool

        folder = self.folder / "shared"
        self._resources.enter_context(Pool.create(folder / "frozen"))
        os.environ[variables.SHARED] = str(folder)
        self._resources.callback(os.environ.pop, variables.SHARED, None)
        return folder

    @cached_property
    def disk(self) -> DiskImage | None:
        """The user's disk image. Raises UsageError where it cannot be used."""
        path = options.value(self._config, "image")
        if path is None:
            return None
        from pytest_kbisect.guest import disk

        return disk.look_at(path)

    @cached_property
    def image(self) -> GuestImage:
        from filelock import FileLock

        from pytest_kbisect.guest import initramfs

        with FileLock(self.share() / "image.lock"):
            return initramfs.build(self.share() / "image", self.disk, self.architecture, self.cache)

    def _guests(self, *, own_boot: bool) -> Guests:
        if own_boot not in self._guests_by:
            self._guests_by[own_boot] = self._make_guests(own_boot=own_boot)
        return self._guests_by[own_boot]

    def _make_guests(self, *, own_boot: bool) -> Guests:
        from pytest_kbisect.guest.guests import Guests
        from pytest_kbisect.guest.pool import Pool
        from pytest_kbisect.kernel.host_limits import memory_available

        fresh = own_boot or options.value(self._config, "fresh-boot")
        return Guests(
            None if fresh else Pool(self.share() / "frozen", memory_available),
            self.image,
            resume=self._resume,
            boot_timeout=options.value(self._config, "boot-timeout"),
            say=self.events.say,
        )

    def _resume(self) -> Path | None:
        """The program that a restored guest runs first, where the host can compile it."""
        from pytest_kbisect.guest import RESUME_SOURCE
        from pytest_kbisect.programs import compile_static, compiler

        try:
            gcc = compiler(self.architecture)
            return compile_static(RESUME_SOURCE, self.cache / "programs", name="resume", compiler=gcc)
        except (UsageError, HostError):
            self.events.say_once(
                "note: this host cannot compile static C programs, so restored guests of kernels before 5.18 share random numbers"
            )
            return None

    def accelerator(self, kernel: KernelImage) -> Accelerator:
        from pytest_kbisect.guest import accelerator

        wanted = options.value(self._config, "accel")
        if options.value(self._config, "icount"):
            wanted = "tcg"
        chosen = accelerator.choose(wanted, self.cache, kernel.image, self.architecture)
        if chosen.why:
            self.events.say_once(f"note: {chosen.why}")
        return chosen

    def machine(self, kernel: KernelImage, needs: Needs, initramfs: Path | None) -> Machine:
        """What a guest of this kernel runs on. Raises UsageError for a command line that is too long."""
        from pytest_kbisect.guest import arguments

        accelerator = self.accelerator(kernel)
        self.ran_on = f"{accelerator.name}, {parallel.processor_model()}"
        machine = replace(
            self._hardware(needs),
            kernel=kernel.image,
            initramfs=initramfs and self._with_modules(initramfs, kernel),
            accelerator=accelerator.name,
            cpu=accelerator.cpu,
            kernel_arguments=" ".join(filter(None, (_kernel_arguments(kernel), self.cmdline(needs)))),
        )
        arguments.require_length(machine)
        return machine

    def _hardware(self, needs: Needs) -> Machine:
        """The same as far as it does not depend on the kernel."""
        from pytest_kbisect.guest.qemu import Machine

        return Machine(
            kernel=Path(),
            initramfs=None,
            disk=self.disk,
            memory=needs.memory or options.value(self._config, "memory"),
            cpus=self._cpus(needs),
            architecture=self.architecture,
            extra=self.qemu(needs),
            icount=options.value(self._config, "icount"),
        )

    def _cpus(self, needs: Needs) -> int:
        """Processors of a guest. Raises UsageError where several are asked for, and their clock counts
        instructions: which of them runs when would be the host's choice.
        """
        named = needs.cpus or (
            options.value(self._config, "cpus") if options.given(self._config, "cpus") else None
        )
        if not options.value(self._config, "icount"):
            return named or int(options.value(self._config, "cpus"))
        if options.value(self._config, "accel") == "kvm":
            raise UsageError(
                "--kbisect-icount needs TCG, which counts instructions: remove --kbisect-accel kvm"
            )
        if named is not None and named > 1:
            source = "kbisect-cpus" if needs.cpus else "--kbisect-cpus"
            raise UsageError(
                f"--kbisect-icount gives guests one processor, {source} asks for {named}: remove one of them"
            )
        return 1

    def cmdline(self, needs: Needs) -> str:
        """Kernel arguments that the user and a reproducer give. Raises UsageError."""
        from pytest_kbisect.guest import arguments

        return arguments.kernel_arguments([*options.value(self._config, "cmdline"), *needs.cmdline], _CMDLINE)

    def qemu(self, needs: Needs) -> tuple[str, ...]:
        """QEMU arguments that the user and a reproducer give. Raises UsageError."""
        from pytest_kbisect.guest import arguments

        return arguments.qemu_arguments([*options.value(self._config, "qemu"), *needs.qemu], _QEMU)

    def devices(self, needs: Needs) -> Devices:
        """What QEMU says of the machine that these needs make. Raises UsageError where it refuses it."""
        from pytest_kbisect.guest import devices

        return devices.require(self._hardware(needs), self.share() / "devices", _QEMU)

    def examine(self, all_needs: Iterable[Needs]) -> tuple[str, ...]:
        """Check what is asked of guests, before anything is built; what to say of it, in lines.

        Raises UsageError for kernel or QEMU arguments that cannot be used.
        """
        lines: dict[str, None] = {}
        for needs in all_needs:
            self.cmdline(needs)
            if fixed := self.devices(needs).fixed:
                lines[
                    f"guests with these devices are booted for each run, they cannot be frozen: {fixed}"
                ] = None
        return tuple(lines)

    def _with_modules(self, initramfs: Path, kernel: KernelImage) -> Path:
        """An initramfs and the kernel's modules, which the kernel unpacks one after the other."""
        if kernel.modules is None:
            return initramfs
        from filelock import FileLock

        path = initramfs.with_name(f"{initramfs.stem}-{kernel.signature[:16]}.cpio")
        with FileLock(path.with_suffix(".lock")):
            if not path.exists():
                atomic.write(path, initramfs.read_bytes() + kernel.modules.read_bytes())
        return path

    @contextlib.contextmanager
    def guest(
        self, kernel: KernelImage, needs: Needs, name: str, *, own_boot: bool = False
    ) -> Iterator[Guest]:
        """A guest that runs commands; gone after the block. Its console stays where `console_folder` says.

        With `own_boot` it is not restored from another's.
        """
        parallel.require_memory(needs.memory or options.value(self._config, "memory"))
        machine = self.machine(kernel, needs, self.image.initramfs)
        folder = self.console_folder(name)
        shutil.rmtree(folder, ignore_errors=True)
        fixed = bool(self.devices(needs).fixed)
        with self._guests(own_boot=own_boot).guest(machine, folder, boot=fixed) as guest:
            yield guest

    def watch(self, guest: Guest, kernel: KernelImage, asked: SessionRequest) -> Watched | None:
        """Note which functions of the crash a guest executes, where the bisection asked for that."""
        functions = asked.watch
        if not functions or options.value(self._config, "gdb"):
            return None
        from pytest_kbisect.session import watching

        key = kernel.signature, functions
        if key not in self._places:
            self._places[key] = watching.find(kernel, functions, self.tree, kernel.source)
        watched = watching.watch(guest, self._places[key], self.folder / "stub", idle=asked.idle)
        if watched.trouble:
            self.events.say_once(
                f"note: a run is not watched, whether it reaches the code of the crash: {watched.trouble}"
            )
        return watched

    def record(self, guest: Guest) -> Recorded | None:
        """Record what a guest executes, where the bisection asked for that."""
        if not self.request.code:
            return None
        from pytest_kbisect.session import recording

        return recording.record(guest, self.folder / "code.log")

    def layout(self, kernel: KernelImage, configuration: str) -> Layout:
        """Which object of a kernel has which function."""
        from pytest_kbisect.session import recording

        if kernel.signature not in self._layouts:
            self._layouts[kernel.signature] = recording.layout_of(
                kernel,
                self.tree,
                self.config_request(configuration),
                self.rules(configuration),
                folder=self.folder / "layout",
                jobs=options.jobs(self._config),
                progress=lambda message: self.events.progress(self.commit, message),
            )
        return self._layouts[kernel.signature]

    def console_folder(self, name: str) -> Path:
        """Where the console of one run is kept: the bisection's folder, else pytest's temporary one."""
        safe = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[-100:]
        digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:8]
        return (self.consoles or self.folder) / f"{safe}-{digest}"
