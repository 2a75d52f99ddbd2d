"""report.eml, read back by Python's own parser."""

from __future__ import annotations

import gzip
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

from folders import CRASH, Folder, culprit, sha
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_kbisect.reports import mail
from pytest_kbisect.reports.reading import read
from pytest_kbisect.reports.report_model import ReportModel
from pytest_kbisect.reports.result import Result


def made(path: Path, *, fix: bool = False, **result: Any) -> Folder:
    folder = Folder(path, commits=20, fix=fix)
    folder.test(sha(20), "cc", position=19)
    folder.test(sha(7), "cco", position=6)
    folder.test(sha(6), "ooo", position=5)
    folder.write(
        **culprit(7, confirmation={"culprit": [2, 3], "parent": [0, 3], **result.pop("seen", {})}, **result)
    )
    return folder


def parsed(data: bytes) -> EmailMessage:
    message = message_from_bytes(data, policy=default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


def text_of(message: EmailMessage) -> str:
    body = message.get_body(("plain",))
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n")


def test_what_kernel_people_expect(tmp_path: Path) -> None:
    seen = {"revert": "passed", "revert_runs": [0, 10]}
    folder = made(tmp_path / "f", seen=seen)
    (folder.path / "config").write_text("CONFIG_NET=y\n")
    (folder.path / "repro").mkdir()
    (folder.path / "repro" / "x.c").write_text("// kbisect-config: CONFIG_TUN=y ü\nint main(void) {}\n")
    data = mail.render(read(folder.path))
    assert max(map(len, data.split(b"\r\n"))) < 998
    message = parsed(data)
    assert message["Subject"] == f'[REGRESSION] {CRASH} since "net: skbuff: do not hide failures"'
    assert message["To"] == "a@example.org"
    assert message["Cc"] == "l@example.org, regressions@lists.linux.dev"
    text = text_of(message)
    assert f"\n#regzbot introduced: {sha(7)}\n" in text
    assert f'\nFixes: {sha(7)[:12]} ("net: skbuff: do not hide failures")\n' in text
    assert "98.7%" in text
    unwrapped = text.replace("\n", " ")
    assert "crashed the kernel in 2 of 3 runs at this commit and in 0 of 3 at its parent." in unwrapped
    assert f"reverted on top of {sha(20)[:12]}, 0 of 10 runs crashed: the crash is gone." in unwrapped
    assert "pskb_expand_head+0x7b/0x300" in text
    attached = {part.get_filename(): part.get_content() for part in message.iter_attachments()}
    assert attached["x.c"].endswith("int main(void) {}\r\n")  # as all text in mails
    assert gzip.decompress(attached["config.gz"]) == b"CONFIG_NET=y\n"


def test_a_revert_that_was_not_tried_is_not_told(tmp_path: Path) -> None:
    assert "reverted" not in text_of(parsed(mail.render(read(made(tmp_path / "f").path))))


def test_a_fix_is_no_regression(tmp_path: Path) -> None:
    message = parsed(mail.render(read(made(tmp_path / "f", fix=True).path)))
    assert message["Subject"] == f'{CRASH} fixed by "net: skbuff: do not hide failures"'
    assert message["Cc"] == "l@example.org"
    assert "regzbot" not in text_of(message)
    assert "Fixes:" not in text_of(message)


def test_a_fix_that_brings_the_crash_back_when_reverted(tmp_path: Path) -> None:
    folder = made(tmp_path / "f", fix=True, seen={"revert": "passed", "revert_runs": [9, 10]})
    text = text_of(parsed(mail.render(read(folder.path)))).replace("\n", " ")
    assert "9 of 10 runs crashed: the crash is back." in text


def test_without_a_culprit_there_is_no_mail(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "f")
    folder.test(sha(100), "oo")
    assert mail.render(read(folder.write(kind="not-reproduced"))) == b""


def test_names_with_commas_quotes_and_any_letters(tmp_path: Path) -> None:
    people = [
        '"Doe, John \\"JD\\"" <jd@example.org>',
        "Doe, Jane <jane@example.org>",
        "Żółć Ñandú <z@example.org>",
        "no address at all",
        "x\r\nBcc: evil@example.org <y@example.org>",
        "a@example.org\nBcc: evil@example.org",
    ]
    message = parsed(mail.render(read(made(tmp_path / "f", recipients_to=people).path)))
    named = {address.addr_spec: address.display_name for address in message["To"].addresses}
    assert named == {
        "jd@example.org": 'Doe, John "JD"',
        "jane@example.org": "Doe, Jane",
        "z@example.org": "Żółć Ñandú",
        "y@example.org": "x Bcc: evil@example.org",
    }
    assert message["Bcc"] is None


def test_what_only_looks_like_an_address_is_left_out(tmp_path: Path) -> None:
    odd = [
        "Dot <dot@example.org.>",
        "a..b@example.org",
        "x@example..org",
        "y@[::1]:",
        "z@-.",
        "Z <b@example.org>",
    ]
    message = parsed(mail.render(read(made(tmp_path / "f", recipients_to=odd).path)))
    to = [address.addr_spec for address in message["To"].addresses]
    assert to[0] == "dot@example.org"
    assert to[-1] == "b@example.org"
    assert not {"a..b@example.org", "x@example..org"} & set(to)


@given(st.lists(st.from_regex(mail._ADDRESS, fullmatch=True), min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_no_address_keeps_the_mail_from_being_written(people: list[str]) -> None:
    found = Result(kind="culprit", range=(sha(0), sha(9)), culprit=sha(5), recipients_to=tuple(people))
    assert mail.render(ReportModel(Path("/nowhere"), found))


@given(title=st.text(), crash=st.text(), person=st.text(), report=st.text())
@settings(max_examples=60, deadline=None)
def test_nothing_from_outside_adds_a_header(title: str, crash: str, person: str, report: str) -> None:
    found = Result(
        kind="culprit",
        range=(sha(0), sha(9)),
        culprit=sha(5),
        title=title,
        crash=crash,
        recipients_to=(person, f"{person} <p@example.org>"),
    )
    data = mail.render(ReportModel(Path("/nowhere"), found, crash_report=report))
    message = parsed(data)
    expected = {
        "Subject",
        "To",
        "Cc",
        "X-Unsent",
        "MIME-Version",
        "Content-Type",
        "Content-Transfer-Encoding",
    }
    assert set(message.keys()) <= expected
    assert f"#regzbot introduced: {sha(5)}" in text_of(message)
