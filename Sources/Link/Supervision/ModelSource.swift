public import EngineProtocol
import Glibc
public import Platform

/// Where a model comes from.
public enum ModelSource: Sendable, Equatable {
    case bundledDemo
    /// A GGUF file, of a split model any of its parts; or a file for the Rockchip NPU runtime, which ends in `.rkllm`.
    case file(path: String)

    /// Whether it is a file for the Rockchip NPU runtime.
    public var isForRuntime: Bool {
        if case .file(let path) = self { path.hasSuffix(".rkllm") } else { false }
    }

    /// What logs and errors call it.
    public var displayName: String {
        switch self {
        case .bundledDemo: "the bundled demo model"
        case .file(let path): path.split(separator: "/").last.map(String.init) ?? path
        }
    }

    /// Splits are counted with five digits.
    public static let partLimit = 128

    /// Opens the model's files, because paths never cross the link.
    ///
    /// - Parameters:
    ///   - roots: where the files must lie; nil for a path that the operator has named.
    ///   - draft: the model that drafts for this one.
    /// - Throws: `invalidRequest` that names the file which cannot be opened, or `pathNotAllowed`.
    public func open(within roots: AllowedRoots? = nil, draft: OpenModel? = nil) throws(EngineError) -> OpenModel {
        switch self {
        case .bundledDemo:
            return OpenModel(source: .bundledDemo, descriptors: [], byteCount: 0, draft: draft)
        case .file(let path):
            var descriptors: [Int32] = []
            var byteCount: UInt64 = 0
            for part in try Self.parts(of: path) {
                do throws(EngineError) {
                    let descriptor = try Self.open(part: part, within: roots)
                    byteCount += (try? descriptor.fileSize()) ?? 0
                    descriptors.append(descriptor.release())
                } catch {
                    OpenModel.close(descriptors)
                    throw error
                }
            }
            return OpenModel(
                source: .descriptors(count: UInt32(descriptors.count)), descriptors: descriptors, byteCount: byteCount,
                draft: draft)
        }
    }

    /// Opens one file for reading: a part of a model, or an adapter of one.
    public static func open(part: String, within roots: AllowedRoots?) throws(EngineError) -> FileDescriptor {
        let descriptor: FileDescriptor
        do throws(SystemError) {
            descriptor = try FileDescriptor.openForReading(path: part)
        } catch {
            if let roots, !roots.containWords(of: part) { throw .pathNotAllowed(path: part) }
            throw refusal(error, part: part)
        }
        if let roots, !roots.contain(descriptor) { throw .pathNotAllowed(path: part) }
        return descriptor
    }

    /// Names the file without its folder: clients see this text, and paths are none of their business.
    private static func refusal(_ error: SystemError, part: String) -> EngineError {
        let name = part.split(separator: "/").last ?? ""
        // This is how `openForReading` refuses pipes and devices.
        let reason = error.code == EINVAL ? "it is not a regular file" : error.reason
        return .invalidRequest(parameter: "model", message: "'\(name)' cannot be opened: \(reason)")
    }

    /// All parts of `name-00002-of-00003.gguf`, or the path itself.
    static func parts(of path: String) throws(EngineError) -> [String] {
        let ending = ".gguf"
        guard path.hasSuffix(ending) else { return [path] }
        let stem = path.dropLast(ending.count)
        let words = stem.split(separator: "-", omittingEmptySubsequences: false)
        guard words.count >= 4, words[words.count - 2] == "of", let count = Self.number(words[words.count - 1]),
            let number = Self.number(words[words.count - 3]), (1...count).contains(number)
        else { return [path] }
        guard count <= partLimit else {
            throw .invalidRequest(
                parameter: "model", message: "the model has \(count) parts, the limit is \(partLimit)")
        }
        let prefix = words.dropLast(3).joined(separator: "-")
        return (1...count).map { "\(prefix)-\(fiveDigits($0))-of-\(fiveDigits(count))\(ending)" }
    }

    private static func number(_ word: Substring) -> Int? {
        word.count == 5 && word.allSatisfy(\.isWholeNumber) ? Int(word) : nil
    }

    private static func fiveDigits(_ number: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, 5 - digits.count)) + digits
    }
}

/// The model that a worker serves, and perhaps a smaller one with the same tokenizer that drafts for it.
public struct ModelSources: Sendable, Equatable {
    public var model: ModelSource
    public var draft: ModelSource?
    /// Where the model's files must lie each time they are opened; nil for a path that the operator has named.
    public var roots: AllowedRoots?

    public init(_ model: ModelSource, draft: ModelSource? = nil, within roots: AllowedRoots? = nil) {
        self.model = model
        self.draft = draft
        self.roots = roots
    }

    /// Opens the files of both.
    public func open() throws(EngineError) -> OpenModel { try model.open(within: roots, draft: try draft?.open()) }
}

/// A model's files, open until they have been sent.
public final class OpenModel {
    public let source: LoadRequest.Source
    public let descriptors: [Int32]
    private let draft: OpenModel?

    /// Of all files together, those of the draft model too; 0 for the bundled model.
    public let byteCount: UInt64

    init(source: LoadRequest.Source, descriptors: [Int32], byteCount: UInt64, draft: OpenModel?) {
        self.source = source
        self.descriptors = descriptors
        self.byteCount = byteCount + (draft?.byteCount ?? 0)
        self.draft = draft
    }

    /// Sends a `load` with these files.
    public func load(_ request: LoadRequest, into worker: WorkerProcess) throws(EngineError) {
        var request = request
        request.source = source
        request.draftSource = draft?.source
        try worker.send(.load(request), call: .link, descriptors: descriptors + (draft?.descriptors ?? []))
    }

    deinit { Self.close(descriptors) }

    static func close(_ descriptors: [Int32]) {
        for descriptor in descriptors { _ = FileDescriptor(owning: descriptor) }
    }
}
