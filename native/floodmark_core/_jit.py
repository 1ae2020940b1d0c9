"""The only module that calls Numba's compiler: every kernel of the core is compiled by :func:`kernel`.

Numba's cache watches only the file that defines a kernel, so after an edit to a callee in another file the old machine code would run.
The cache folder is therefore named by a hash of the whole core's source. Its index is a pickle, so the folder must be the user's own.
"""

import atexit
import hashlib
import os
import pickle
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property, update_wrapper
from pathlib import Path
from typing import Any, Generic, ParamSpec, Self, TypeVar

import llvmlite.binding as llvm
from numba import njit
from numba.core.caching import CompileResultCacheImpl, FunctionCache, IndexDataCacheFile
from numba.core.codegen import JITCodeLibrary
from platformdirs import user_cache_path

_DIGEST_BYTES = 32
P = ParamSpec("P")
R = TypeVar("R")


def source_digest() -> str:
    """Return the first 16 hex digits of the SHA-256 of the core's source files, subpackages included, in path order."""
    digest, root = hashlib.sha256(), Path(__file__).parent
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def cache_folder() -> Path:
    """Return the folder that caches the kernels of this version of the core; FLOODMARK_CACHE_DIR or XDG_CACHE_HOME move it."""
    base = os.environ.get("FLOODMARK_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME")
    return (Path(base) / "floodmark" if base else user_cache_path("floodmark", appauthor=False)) / source_digest()


def usable_folder() -> str | None:
    """Return a folder in which Numba can cache kernels, or None if there is none (kernels then live in memory only).

    Its index is a pickle, so only this user or root may be able to write to it. A read-only folder that holds kernels, such as one in an
    image, is copied: Numba does not read a folder that it cannot write to.
    """
    folder = cache_folder()
    with suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        status = folder.stat()
        if status.st_uid not in (os.getuid(), 0) or status.st_mode & 0o022:
            return None
        if os.access(folder, os.W_OK):
            return str(folder)
        if not any(folder.rglob("*.nbi")):
            return None
        copy = tempfile.mkdtemp(prefix="floodmark-")
        atexit.register(shutil.rmtree, copy, ignore_errors=True)
        shutil.copytree(folder, copy, dirs_exist_ok=True)
        Path(copy).chmod(0o700)
    except OSError:
        return None
    return copy


_CACHE = usable_folder()


def keeps_kernels() -> bool:
    """Return whether kernels outlive this process."""
    return _CACHE is not None


def compiled_before() -> bool:
    """Return whether the cache holds kernels of this version of the core, so that startup needs no compilation."""
    return _CACHE is not None and any(Path(_CACHE).rglob("*.nbi"))


class _Locator:
    """Where Numba caches a kernel: below the folder of this version of the core, which is named by a hash of all sources.

    Numba's own locators test for each function whether its folder is writable, and compare source file times.
    """

    def __init__(self, py_func: Callable[..., Any]) -> None:
        self._line = py_func.__code__.co_firstlineno
        self._path = str(Path(str(_CACHE)).joinpath(*py_func.__module__.split(".")[1:]))

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], _: str) -> Self:
        """Return the locator of a function."""
        return cls(py_func)

    def ensure_cache_path(self) -> None:
        """Create the folder before something is saved."""
        Path(self._path).mkdir(mode=0o700, parents=True, exist_ok=True)

    def get_cache_path(self) -> str:
        """Return the folder."""
        return self._path

    def get_source_stamp(self) -> int:
        """Return the stamp of a kernel's source; constant, because the folder's name already identifies it."""
        return 0

    def get_disambiguator(self) -> str:
        """Return what distinguishes functions of the same name."""
        return str(self._line)


class _LoadedLibrary(JITCodeLibrary):
    """Machine code from the cache. The bitcode beside it, for inlining, is parsed when some other kernel is compiled, and seldom any is."""

    bitcode: bytes | None = None
    _parsed: Any = None

    @property
    def _shared_module(self) -> Any:  # noqa: ANN401 - Numba has few types
        if self._parsed is None and self.bitcode is not None:
            self._parsed = llvm.parse_bitcode(self.bitcode)
            self._codegen._engine._load_defined_symbols(self._parsed)  # type: ignore[no-untyped-call] # noqa: SLF001 - as Numba does
        return self._parsed

    @_shared_module.setter
    def _shared_module(self, module: Any) -> None:  # noqa: ANN401 - as above
        self._parsed = module

    @classmethod
    def _unserialize(cls, codegen: Any, state: tuple[str, str, tuple[bytes, bytes]]) -> Self:  # noqa: ANN401 - as above
        name, _, (machine_code, bitcode) = state
        self = cls(codegen, name)
        self.enable_object_caching()  # type: ignore[no-untyped-call] # as above
        self._set_compiled_object(machine_code)  # type: ignore[no-untyped-call] # as above
        self.bitcode = bitcode
        self._finalize_final_module()  # type: ignore[no-untyped-call] # as above
        return self

    def get_pointer_to_function(self, name: str) -> int:
        """Return the address of a function, 0 if there is none: asked of the machine code, where Numba asks the bitcode."""
        return int(self._codegen._engine.get_function_address(name))  # noqa: SLF001 - as above


class _CacheImpl(CompileResultCacheImpl):
    _locator_classes = (_Locator,)

    def rebuild(self, target_context: Any, payload: Any) -> Any:  # noqa: ANN401 - Numba has few types
        """Return a kernel from what was kept of it. Numba holds its compiler's lock meanwhile, so that nobody else sees the other class."""
        codegen = target_context.codegen()
        codegen._library_class = _LoadedLibrary  # noqa: SLF001 - there is no other way to name it
        try:
            return super().rebuild(target_context, payload)  # type: ignore[no-untyped-call] # as above
        finally:
            del codegen._library_class  # noqa: SLF001 - as above


class _CheckedFile(IndexDataCacheFile):
    """Numba's cache files with a checksum before the machine code: damaged code would crash, or worse, go on."""

    def _save_data(self, name: str, data: Any) -> None:  # noqa: ANN401 - Numba's own types
        nbytes = self._dump(data)  # type: ignore[no-untyped-call] # Numba has few types
        with self._open_for_write(self._data_path(name)) as file:  # type: ignore[no-untyped-call]
            file.write(hashlib.sha256(nbytes).digest() + nbytes)

    def _load_data(self, name: str) -> Any:  # noqa: ANN401 - as above
        nbytes = Path(self._data_path(name)).read_bytes()  # type: ignore[no-untyped-call]
        if hashlib.sha256(nbytes[_DIGEST_BYTES:]).digest() != nbytes[:_DIGEST_BYTES]:
            raise ValueError("its checksum is wrong")
        return pickle.loads(memoryview(nbytes)[_DIGEST_BYTES:])  # noqa: S301 - the folder is this user's own


class _Cache(FunctionCache):
    """A cache that no command depends on: what is damaged is compiled anew, what cannot be kept is compiled each time."""

    _impl_class = _CacheImpl

    def __init__(self, py_func: Callable[..., Any]) -> None:
        super().__init__(py_func)  # type: ignore[no-untyped-call]
        self._cache_file = _CheckedFile(self._cache_path, self._impl.filename_base, self._impl.locator.get_source_stamp())  # type: ignore[no-untyped-call]

    def load_overload(self, sig: Any, target_context: Any) -> Any:  # noqa: ANN401 - Numba's own types
        """Load a kernel without what only compiling needs: Numba would first import all that it can compile, a third of startup time."""
        try:
            return self._load_overload(sig, target_context)  # type: ignore[no-untyped-call]
        except Exception as error:  # noqa: BLE001 - a damaged pickle raises anything
            _tell("damaged", f"{self._cache_path}: compiled code is damaged, and compiled anew: {error or type(error).__name__}")
            with suppress(OSError):
                self.flush()  # type: ignore[no-untyped-call] # the index too may be damaged
            return None

    def save_overload(self, sig: Any, data: Any) -> None:  # noqa: ANN401 - as above
        """Keep a kernel, if there is room."""
        try:
            self._save_overload(sig, data)  # type: ignore[no-untyped-call]
        except OSError as error:
            _tell("lost", f"{_CACHE}: the compiled core cannot be kept: {error.strerror or error}; FLOODMARK_CACHE_DIR moves it")


_told: set[str] = set()
_listeners: list[Callable[[str], None]] = []


def _tell(fault: str, message: str) -> None:
    """Pass on what is wrong with the cache, each fault once."""
    if fault not in _told:
        _told.add(fault)
        for listener in _listeners:
            listener(message)


def on_cache_fault(listener: Callable[[str], None]) -> None:
    """Let somebody hear what is wrong with the cache."""
    if listener not in _listeners:
        _listeners.append(listener)


class Kernel(Generic[P, R]):
    """A compiled function. Numba sees it when it is first called, from Python or by a kernel being compiled: most runs call few of them."""

    def __init__(self, function: Callable[P, R], *, forceinline: bool) -> None:
        self.forceinline = forceinline
        update_wrapper(self, function)

    def __call__(self, *arguments: P.args, **named: P.kwargs) -> R:
        """Call it."""
        result: R = self.dispatcher(*arguments, **named)
        return result

    @property
    def signatures(self) -> list[Any]:
        """The types of arguments that it has been compiled for, in this process or in the one that filled the cache."""
        return list(self.dispatcher.signatures)

    @cached_property
    def dispatcher(self) -> Any:  # noqa: ANN401 - Numba's own type
        """What Numba compiles and calls."""
        function: Any = self.__wrapped__  # type: ignore[attr-defined] # of update_wrapper
        compiler: Any = njit  # two of the options below are unknown to Numba's type stubs
        compiled: Any = compiler(
            nogil=True,
            error_model="numpy",
            forceinline=self.forceinline,
            no_cpython_wrapper=self.forceinline,  # only compiled code calls a step: a Python entry point is a fifth of the compiler's work
            no_cfunc_wrapper=True,
            _nrt=False,
        )(function)
        if _CACHE is not None:
            compiled._cache = _Cache(function)  # noqa: SLF001 - what Numba's option cache=True does, with our own cache
        return compiled

    @property
    def _numba_type_(self) -> Any:  # noqa: ANN401 - how Numba asks what a global variable is
        return self.dispatcher._numba_type_


def kernel(function: Callable[P, R]) -> Kernel[P, R]:
    """Compile ``function`` on its first call; the GIL is released while it runs."""
    return Kernel(function, forceinline=False)


def step(function: Callable[P, R]) -> Kernel[P, R]:
    """Inline a part of a kernel's loop into the loop itself.

    A call that passes a batch by value copies hundreds of words and counts references for each packet: decoding took
    980 ns per packet with calls and 32 ns without (decision 3). Calling it from Python crashes the process.
    """
    return Kernel(function, forceinline=True)
