import subprocess
import sys


def test_importing_the_readers_loads_no_optional_package() -> None:
    code = "import sys, ntklab.data; print(sorted({'sklearn', 'PIL'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
