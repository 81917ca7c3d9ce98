import Glibc

/// Folders that belong to one user alone.
public enum PrivateFolder {
    /// Makes the folder of a file, if it is not there, and checks that nobody else may look into it.
    ///
    /// - Throws: `EPERM` when it is another user's or open to others.
    public static func prepare(forFileAt path: String) throws(SystemError) {
        let folder = folder(of: path)
        try refuseZeroByte(in: folder, "make")
        if mkdir(folder, 0o700) != 0, errno != EEXIST {
            throw SystemError(operation: "make the folder \(folder)", code: errno)
        }
        var status = stat()
        guard stat(folder, &status) == 0 else {
            throw SystemError(operation: "look at the folder \(folder)", code: errno)
        }
        guard status.st_uid == geteuid(), status.st_mode & 0o077 == 0 else {
            throw SystemError(
                operation: "use the folder \(folder), which has to belong to this user alone (mode 0700)", code: EPERM)
        }
    }

    private static func folder(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}
