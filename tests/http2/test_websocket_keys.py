from base64 import b64decode

from blue_green.http2.websocket_keys import accept_for, new_key


def test_the_accept_of_the_example_in_rfc_6455_section_1_3() -> None:
    assert accept_for(b"dGhlIHNhbXBsZSBub25jZQ==") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_each_key_is_sixteen_fresh_bytes() -> None:
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    assert {len(b64decode(key)) for key in keys} == {16}
