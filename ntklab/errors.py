"""Every error that ntklab raises on purpose, and its one warning; this module imports nothing.

Each message says what was given, what is needed and what to do. All errors derive from
:class:`NtklabError`, so one ``except`` catches them; bad arguments are also ``ValueError``.
From a message to its page: the class, which a traceback and the ``ntklab`` command name before the message, is the
heading in docs/errors.md, and ``help(ntklab.errors.SpecError)`` shows the same text.
"""


class NtklabError(Exception):
    """Base class of all errors that ntklab raises on purpose.

    Causes
    ------
    Never raised itself. ``except NtklabError`` catches all of the errors below; anything else that comes out of
    ntklab is a defect of ntklab, or of a function that you gave it.

    Remedies
    --------
    Read the message: it ends with what to do. Then ``ntklab verify``, which looks for a JAX that computes wrongly.
    """


class SpecError(NtklabError, ValueError):
    """A network description that has no meaning: bad layer arguments, or shapes that do not fit.

    Causes
    ------
    - An activation whose input is not Gaussian: on the raw input, after another activation, or right behind Flatten.
    - Shapes: images for a network of vectors, windows larger than what reaches them, branches of unlike shapes.
    - Branches whose sum has no closed form: they share weights, or more than one has a mean other than zero.
    - A layer without a closed form: BatchNorm, MaxPool, softmax attention over sqrt(d), one of your own.
    - A network in JSON by another version.

    Remedies
    --------
    The message names the layer and its place. ``ntklab.spec.infer_shapes(network, input_shape)`` shows the shapes
    step by step. Put a ``Dense()`` or ``Conv(...)`` before an activation, and ``Flatten()`` or ``GlobalAvgPool()``
    between images and the last dense layer. What has no closed form is sampled by ``engine="monte-carlo"``:
    docs/engines.md. A layer of your own: docs/extending.md.
    """


class InputError(NtklabError, ValueError):
    """An array or option whose shape, dtype or value the called function cannot take.

    Causes
    ------
    - A missing batch axis, channels first, or inputs of another shape than ``input_shape``.
    - NaN or infinite values, complex numbers, targets with another number of rows than the kernel.
    - ``dtype="float64"`` without JAX's 64-bit mode.
    - An option that is misspelt, or out of its range.

    Remedies
    --------
    The message shows what came and what is needed. Inputs are ``(n, *input_shape)`` with channels last: ``x[None]``
    adds the batch axis, ``x.transpose(0, 2, 3, 1)`` brings channels to the end. Find values that are not finite by
    ``np.isfinite(x)``. 64-bit mode: docs/troubleshooting.md.
    """


class DataError(NtklabError, ValueError):
    """A data file that is missing, truncated, mislabelled or not what it claims to be.

    Causes
    ------
    - A path to the wrong folder, an archive that is still packed, a download that broke off.
    - A record or model by another version, or a file that is none.

    Remedies
    --------
    Look at the path in the message; unpack archives; get the file again where it is truncated. ntklab downloads
    nothing and repairs nothing.
    """


class EngineError(NtklabError, RuntimeError):
    """The engine that was asked for by name cannot run this plan on this device.

    Causes
    ------
    - ``simd`` or ``cuda`` for a network, dtype or device that they have no code for.
    - ``simd`` without numba, ``cuda`` without NVIDIA's libraries, ``displacement`` with JAX before 0.12.
    - A benchmark of a device that JAX does not use.

    Remedies
    --------
    ``engine="auto"`` takes the fastest that can, and ``kfn.engine`` says which and why; ``engine="reference"`` runs
    everything everywhere. What each engine can do: docs/engines.md.
    """


class SolveError(NtklabError, ArithmeticError):
    """A linear system or a training run that came to no result: singular, indefinite, diverged or not finite.

    Causes
    ------
    - Two training inputs that are equal, or made equal by the preprocessing, and no ridge: the matrix is singular.
    - A matrix that is no kernel: asymmetric, with negative eigenvalues, or of train and test inputs mixed up.
    - A float32 kernel with a ridge, or none, that only float64 can carry.
    - A learning rate above ``max_learning_rate``; an iteration that cannot reach its tolerance.

    Remedies
    --------
    Remove the duplicates that the message names, or ask for a ridge, ``Ridge(1e-4)``, or let
    ``ntklab.predict.choose_ridge`` choose one. Compile the kernel with ``dtype="float64"`` for tiny ridges. Check
    that rows are test inputs and columns training inputs. docs/solvers.md, "When it fails".
    """


class PrecisionWarning(UserWarning):
    """A matrix is stored too coarsely for the ridge asked for, or a function is too rough for the quadrature.

    Causes
    ------
    - A float32 kernel of thousands of points with a ridge near 1e-6 of its diagonal, or below.
    - ``Elementwise`` of a function with kinks or jumps away from zero.

    Remedies
    --------
    Compile with ``dtype="float64"``, or take a larger ridge. For a function, ``ntklab.kernel.quadrature_error``
    states the error, which may be small enough. To make it an error: ``warnings.simplefilter("error",
    PrecisionWarning)``.
    """


class StoreError(NtklabError, RuntimeError):
    """A Gram store that is incomplete, damaged, cannot be read or written, or holds another computation.

    Causes
    ------
    - Reading before all tiles are there, or after a file was damaged or deleted.
    - Another network, other inputs, versions, engine or tile at a path that is in use.
    - A full disk, or no right to write.

    Remedies
    --------
    ``ntklab gram status STORE`` counts the tiles, ``ntklab gram run STORE`` completes it, and ``ntklab gram verify
    STORE --repair`` drops damaged tiles for the next run. For another computation name another path; nothing is
    overwritten. docs/guides/cluster.md, "What can go wrong".
    """


class MissingExtraError(NtklabError, ImportError):
    """An optional package is needed for this call and is not installed.

    Causes
    ------
    ntklab's core needs few packages. Figures, stores, estimators, the fastest CPU engine, data and training of finite
    networks need more; each is imported when it is asked for.

    Remedies
    --------
    Run the ``pip install 'ntklab[...]'`` that the message names, or once ``pip install 'ntklab[all]'``.
    """
