import EngineProtocol
import JSON
import Platform
import Serving

/// A file of `rpc.cache_root`, where prompt caches are saved and loaded.
struct CacheRootFile {
    private let folder: FileFolder
    private let name: String
    private let field: String

    /// - Parameter path: a file's name, or the folder's path and a name.
    init(_ path: String, root: String?, field: String) throws(RPCError) {
        guard let root else {
            throw .pathNotAllowed(field, "the server has no folder for prompt caches (rpc.cache_root)")
        }
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        let place = parts.dropLast().joined(separator: "/")
        let isInRoot = parts.count == 1 || place == "." || place == root || place + "/" == root
        name = parts.last.map(String.init) ?? ""
        guard isInRoot, FileFolder.isName(name) else {
            throw .pathNotAllowed(
                field, "'\(field)' is the name of a file in rpc.cache_root, without a dot at its beginning")
        }
        self.field = field
        do throws(SystemError) { folder = try FileFolder(path: root) } catch {
            throw .pathNotAllowed(field, "rpc.cache_root cannot be opened: \(error.reason)")
        }
    }

    func open() throws(RPCError) -> AttachedFile {
        do throws(SystemError) { return AttachedFile(try folder.open(name)) } catch {
            throw .invalid(field, "'\(field)': '\(name)' cannot be opened: \(error.reason)")
        }
    }

    /// A file that takes its place when a run has ended well.
    func replace() throws(EngineError) -> FileFolder.Replacement {
        do throws(SystemError) { return try folder.replace(name) } catch {
            throw .resourceExhausted(message: "the prompt cache cannot be written: \(error.reason)", permanent: false)
        }
    }
}
