import Glibc
import Platform

/// The file that a prompt cache is written into: it gets the program's name for it when it is complete, or goes away.
final class UnfinishedCacheFile {
    private let path: String
    private let unfinished: String
    private let file: FileDescriptor
    private var isKept = false

    init(path: String) throws(Refusal) {
        self.path = path
        unfinished = "\(path).\(getpid())"
        let opened = open(unfinished, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard opened >= 0 else {
            throw Refusal("prompt_cache_path: \(SystemError(operation: "make \(unfinished)", code: errno))")
        }
        file = FileDescriptor(owning: opened)
    }

    deinit { if !isKept { unlink(unfinished) } }

    /// Another descriptor of the file, for the worker.
    func descriptor() -> FileDescriptor? { try? file.duplicate() }

    /// Puts the file in the place of one that was there before.
    func keep() throws(Refusal) {
        guard rename(unfinished, path) == 0 else {
            throw Refusal("prompt_cache_path: \(SystemError(operation: "name it \(path)", code: errno))")
        }
        isKept = true
    }
}
