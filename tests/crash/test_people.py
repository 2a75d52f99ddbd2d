"""Whom a culprit concerns."""

from __future__ import annotations

from pytest_kbisect.kernel.maintainers import by_role, people_of

COMMIT = """commit 3226b158e67cfaa677fd180152bfb28989cb2fac
Author: Eric Dumazet <edumazet@google.com>
Date:   Wed Jan 13 08:18:19 2021 -0800

    net: avoid 32 x truesize under-estimation for tiny skbs

    Fixes: fd11a83dd363 ("net: Pull out core bits of __netdev_alloc_skb and add __napi_alloc_skb")
    Signed-off-by: Eric Dumazet <edumazet@google.com>
    Cc: Paolo Abeni <pabeni@redhat.com>
    Cc: stable@vger.kernel.org
    Reviewed-by: Alexander Duyck <AlexanderDuyck@fb.com>
    Acked-by: Michael S. Tsirkin <mst@redhat.com>
    Signed-off-by: Jakub Kicinski <kuba@kernel.org>

diff --git a/x b/x
+Tested-by: Nobody <nobody@example.com>
"""


def test_people_of_a_commit():
    people = people_of(COMMIT)
    assert people.to == ("alexanderduyck@fb.com", "edumazet@google.com", "kuba@kernel.org", "mst@redhat.com")
    assert people.cc == ()


def test_other_trailers():
    message = """Author: A <a@example.com>

    X-and-Reviewed-by: B <b@example.com>
    Tested-by: "C, D" <c@example.com>
    Reported-by: E <e@example.com>
    Signed-off-by: stable@vger.kernel.org
"""
    assert people_of(message).to == ("a@example.com", "b@example.com", "c@example.com")


def test_roles():
    output = """Jane Doe <Jane@example.com> (maintainer:KBX DRIVER)
John Doe <john@example.com> (reviewer:KBX DRIVER,commit_signer:3/4=75%)
Sue <sue@example.com> (supporter:KBX,authored:1/4=25%)
kbx@lists.example.com (open list:KBX DRIVER)
linux-kernel@vger.kernel.org (open list)
"""
    found = by_role(output)
    assert found.to == ("jane@example.com", "kbx@lists.example.com", "sue@example.com")
    assert found.cc == ("john@example.com", "linux-kernel@vger.kernel.org")


def test_the_list_of_all_where_there_is_no_other():
    assert by_role("linux-kernel@vger.kernel.org (open list)\n").to == ("linux-kernel@vger.kernel.org",)
