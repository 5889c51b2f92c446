"""What the runtime can do: facts, or nothing."""

import onnxruntime

from devicesdk.host.capabilities import FLAGS, capabilities, cpu_flags
from devicesdk.wire import codec
from devicesdk.wire.messages import Have


def test_the_runtime_and_the_memory_are_told():
    found = capabilities(512)
    assert found.runtime == onnxruntime.__version__
    assert "CPU" in found.providers
    assert found.memory_mib == 512


def test_flags_of_x86_and_of_arm(tmp_path):
    path = tmp_path / "cpuinfo"
    path.write_text("processor\t: 0\nflags\t\t: fpu avx2 secret avx512_vnni\nflags\t: avx\n")
    assert cpu_flags(path) == ("avx2", "avx512_vnni")
    path.write_text("Features\t: fp asimd evtstrm asimddp\n")
    assert cpu_flags(path) == ("asimd", "asimddp")


def test_what_cannot_be_found_is_left_out(tmp_path):
    assert cpu_flags(tmp_path / "nothing") == ()
    (tmp_path / "odd").write_bytes(b"\xff\xfe: no\n")
    assert cpu_flags(tmp_path / "odd") == ()


def test_the_largest_report_is_small(tmp_path):
    path = tmp_path / "cpuinfo"
    path.write_text("flags: " + " ".join(FLAGS))
    said = capabilities(2**31, path)
    without, with_it = (codec.encode(Have(boot_id=1, seq=1, capabilities=c)) for c in (None, said))
    assert len(with_it) - len(without) < 300
