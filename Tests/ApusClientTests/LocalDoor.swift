import ApusClient
import EngineProtocol
import Foundation
import TestSupport

/// A server with a door for local clients.
final class LocalDoor {
    let server: ServerProcess
    let path: String
    private let folder: URL

    init(_ arguments: [String] = [], worker: String? = nil) throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("apus-ipc-\(UUID())")
        path = folder.appendingPathComponent("door").path
        server = try ServerProcess(["--ipc", path] + arguments, worker: worker)
    }

    /// One at a path that another one has used.
    init(path: String, worker: String? = nil) throws {
        folder = URL(fileURLWithPath: path).deletingLastPathComponent()
        self.path = path
        server = try ServerProcess(["--ipc", path], worker: worker)
    }

    deinit {
        server.stop()
        try? FileManager.default.removeItem(at: folder)
    }

    func client(_ change: (inout ClientOptions) -> Void = { _ in }) throws -> ApusClient {
        var options = ClientOptions()
        change(&options)
        return try ApusClient(path: path, options: options)
    }
}

/// The worker that answers with numbered words and does what words in the prompt say.
enum Scripted {
    static let worker = "apus-faulty-worker"

    static func request(_ prompt: String = "words", words: UInt32 = 16, seed: UInt64 = 0) -> GenerateRequest {
        GenerateRequest(
            inputs: [.text(prompt)], maximumTokens: words, sampling: SamplingParameters(seed: seed))
    }

    static func text(words: UInt32 = 16, seed: UInt64 = 0) -> String {
        (0..<words).map { "\(seed).\($0) " }.joined()
    }
}

extension Generation {
    /// How it ended: the text, and the error if there was one.
    func outcome() async -> (text: String, error: ClientError?) {
        var text = ""
        do {
            for try await event in self {
                if case .tokens(let chunk) = event { text += chunk.text }
            }
        } catch {
            return (text, error)
        }
        return (text, nil)
    }
}
