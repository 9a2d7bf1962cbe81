"""A template's files as one container gets them."""

import pytest

from slipway.contracts.templates import Manifest, TemplateFile
from slipway.provisioner.bundle import Bundle


@pytest.mark.parametrize("is_rendered", [True, False])
@pytest.mark.parametrize("content", [b"a {{ x }}\r\nb\r\n", b"a {{ x }}\nb\n", b"a {{ x }}"])
def test_lines_end_as_the_template_has_them(content: bytes, *, is_rendered: bool) -> None:
    """What is meant for Windows, or for a protocol with CRLF, stays so."""
    files = (TemplateFile(path="/a", is_rendered=is_rendered),)
    manifest = Manifest(name="web", version="1.0.0", description="", ostemplate="debian", files=files)
    bundle = Bundle(manifest, {"files/a": content, "lib/slipway.sh": b""})

    delivered = bundle.files({"x": "1"})[1].content

    assert delivered == (content.replace(b"{{ x }}", b"1") if is_rendered else content)
