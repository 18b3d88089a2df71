import subprocess
import sys


def test_importing_the_readers_loads_neither_jax_nor_an_optional_package() -> None:
    code = "import sys, ntklab.data; print(sorted({'jax', 'sklearn', 'PIL'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
