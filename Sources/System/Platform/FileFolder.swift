import Glibc

/// A folder whose files are asked for by name.
///
/// A name is a single word, so neither `..` nor a folder in between leads elsewhere, and a symbolic link is not followed.
public final class FileFolder: Sendable {
    private let folder: FileDescriptor

    public init(path: String) throws(SystemError) {
        try refuseZeroByte(in: path, "open")
        let opened = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard opened >= 0 else { throw SystemError(operation: "open the folder \(path)", code: errno) }
        folder = FileDescriptor(owning: opened)
    }

    /// Whether a word can be the name of a file; hidden files are none of a client's business.
    public static func isName(_ word: String) -> Bool {
        !word.isEmpty && word.utf8.count <= 200 && !word.hasPrefix(".")
            && word.utf8.allSatisfy { $0 > 0x1F && $0 != 0x7F && $0 != UInt8(ascii: "/") }
    }

    /// Opens a regular file for reading; it never waits.
    public func open(_ name: String) throws(SystemError) -> FileDescriptor {
        try Self.check(name)
        let opened = openat(folder.rawValue, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK)
        guard opened >= 0 else { throw SystemError(operation: "open \(name)", code: errno) }
        let file = FileDescriptor(owning: opened)
        // Refuses what is no regular file.
        _ = try file.fileSize()
        return file
    }

    /// Begins a file that takes the place of the one with this name once it is whole.
    public func replace(_ name: String) throws(SystemError) -> Replacement {
        try Self.check(name)
        let temporary = ".\(name).\(String(SystemRandom.next(), radix: 36))"
        let made = openat(folder.rawValue, temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard made >= 0 else { throw SystemError(operation: "make \(name)", code: errno) }
        return Replacement(folder: self, file: FileDescriptor(owning: made), temporary: temporary, name: name)
    }

    private static func check(_ name: String) throws(SystemError) {
        guard isName(name) else {
            throw SystemError(operation: "use '\(name.prefix(64))' as a file's name", code: EINVAL)
        }
    }

    /// A file that nobody sees under its name before `commit`; without that it goes away.
    public final class Replacement {
        private let folder: FileFolder
        private let file: FileDescriptor
        private let temporary: String
        private let name: String
        private var isCommitted = false

        fileprivate init(folder: FileFolder, file: consuming FileDescriptor, temporary: String, name: String) {
            self.folder = folder
            self.file = file
            self.temporary = temporary
            self.name = name
        }

        deinit { if !isCommitted { unlinkat(folder.folder.rawValue, temporary, 0) } }

        /// Another descriptor of it, for whoever writes it.
        public func duplicate() throws(SystemError) -> FileDescriptor { try file.duplicate() }

        /// Gives the file its name; one that had it is gone.
        public func commit() throws(SystemError) {
            let place = folder.folder.rawValue
            guard renameat(place, temporary, place, name) == 0 else {
                throw SystemError(operation: "rename to \(name)", code: errno)
            }
            isCommitted = true
        }
    }
}
