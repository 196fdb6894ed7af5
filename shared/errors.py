"""Every error both services raise on purpose.

UnderstudyError
├── SettingsError          a setting is missing or does not parse
├── BundleError            a bundle cannot be trusted or read
│   ├── BundleTooLarge
│   ├── BundleMalformed
│   ├── DigestMismatch
│   └── SignatureInvalid
├── ModelLoadError         the bytes are authentic, but the model does not work
├── DataUnavailable        the database or a file cannot be read now
└── TrainingFailed         a candidate could not be trained
"""


class UnderstudyError(Exception):
    """Base of every error that is raised on purpose."""


class SettingsError(UnderstudyError):
    """Raised when a setting is missing or invalid; names the variable and the remedy."""


class BundleError(UnderstudyError):
    """Raised when a bundle cannot be trusted or read."""


class BundleTooLarge(BundleError):
    """Raised when a bundle, or what it unpacks to, exceeds the declared limit."""


class BundleMalformed(BundleError):
    """Raised when the archive or its manifest does not follow the format."""


class DigestMismatch(BundleError):
    """Raised when a file does not have the digest that the manifest states."""


class SignatureInvalid(BundleError):
    """Raised when no trusted key made the signature over these bytes."""


class ModelLoadError(UnderstudyError):
    """Raised when an authentic bundle does not load or does not score."""


class DataUnavailable(UnderstudyError):
    """Raised when the database or a file cannot be read now; worth a retry."""


class TrainingFailed(UnderstudyError):
    """Raised when a candidate could not be trained; says at which step and why."""
