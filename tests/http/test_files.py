"""/v1/files: uploaded by a form or by a link, listed, read and deleted."""

from __future__ import annotations

from urllib.request import Request, urlopen

import pytest

from tests.http.behind import Clerk
from tests.support.stack import OpenedAccount, Stack

DATA = b'{"custom_id": "a"}\r\n\xff\x00'


@pytest.fixture
def clerk(stack: Stack, account: OpenedAccount) -> Clerk:
    return Clerk(stack, account)


def test_a_file_is_read_back_as_it_was_uploaded(clerk: Clerk) -> None:
    made = clerk.upload(DATA)
    assert made.status == 200
    file = made.json()
    assert (file["object"], file["bytes"], file["filename"], file["purpose"]) == (
        "file",
        len(DATA),
        "in.jsonl",
        "batch",
    )
    assert clerk("GET", f"/v1/files/{file['id']}").json() == file
    content = clerk("GET", f"/v1/files/{file['id']}/content")
    assert (content.status, content.body, content.headers["content-type"]) == (200, DATA, "application/jsonl")


def test_a_large_file_is_announced_and_put_by_a_link_and_read_by_one(clerk: Clerk) -> None:
    made = clerk("POST", "/v1/files", {"filename": "large.jsonl", "purpose": "batch"}).json()
    assert made["status"] == "uploaded"
    assert clerk("GET", f"/v1/files/{made['id']}/content").status == 404
    data = b"x" * 4_100_000
    headers = {"Content-Type": made["upload_content_type"]}
    with urlopen(Request(made["upload_url"], method="PUT", data=data, headers=headers)) as answer:
        assert answer.status == 200
    shown = clerk("GET", f"/v1/files/{made['id']}").json()
    assert (shown["bytes"], shown["status"]) == (len(data), "processed")
    redirect = clerk("GET", f"/v1/files/{made['id']}/content")
    assert redirect.status == 302
    with urlopen(redirect.headers["location"]) as answer:
        assert answer.read() == data


def test_a_form_that_is_no_upload_is_refused_by_its_field(clerk: Clerk) -> None:
    for response, param in [
        (clerk.upload(DATA, purpose="fine-tune"), "purpose"),
        (clerk.upload(DATA, purpose=None), "purpose"),
        (clerk.upload(DATA, name="other"), "file"),
        (clerk("POST", "/v1/files", {"purpose": "batch"}), "filename"),
        (clerk("POST", "/v1/files", b"x", **{"Content-Type": "multipart/form-data; boundary=b"}), "file"),
    ]:
        assert (response.status, response.error["param"]) == (400, param), response.body


def test_a_form_over_the_limit_is_told_how_to_go_on(clerk: Clerk) -> None:
    response = clerk.upload(b"x" * 4_000_001)
    assert response.status == 413
    assert "upload_url" in response.error["message"]


def test_files_are_listed_newest_first_in_pages(clerk: Clerk) -> None:
    made = {clerk.file_id(b"x") for _ in range(3)}
    first = clerk("GET", "/v1/files?limit=2").json()
    second = clerk("GET", f"/v1/files?limit=2&after={first['last_id']}").json()
    ids = [file["id"] for page in (first, second) for file in page["data"]]
    assert (set(ids), len(ids), first["has_more"], second["has_more"]) == (made, 3, True, False)
    assert [file["created_at"] for file in first["data"]] == sorted(
        (file["created_at"] for file in first["data"]), reverse=True
    )
    assert clerk("GET", "/v1/files?limit=0").status == 400


def test_a_deleted_file_is_gone(clerk: Clerk) -> None:
    id_ = clerk.file_id(b"x")
    assert clerk("DELETE", f"/v1/files/{id_}").json() == {"id": id_, "object": "file", "deleted": True}
    for method, path in [("GET", ""), ("GET", "/content"), ("DELETE", "")]:
        assert clerk(method, f"/v1/files/{id_}{path}").error["reason"] == "file_not_found"
    assert clerk("GET", "/v1/files").json()["data"] == []


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("GET", "/content"), ("DELETE", "")])
def test_another_accounts_file_is_not_there(stack: Stack, clerk: Clerk, method: str, path: str) -> None:
    id_ = clerk.file_id(b"x")
    assert Clerk(stack, stack.open_account())(method, f"/v1/files/{id_}{path}").status == 404
    assert clerk("GET", f"/v1/files/{id_}").status == 200
