import Foundation
import Testing

/// What the files of each room may write after `import`, besides the System floor and the standard library.
///
/// This is the table of `docs/architecture/overview.md`, kept here on its own: a dependency that the manifest lets in by
/// accident fails this test.
private let allowedImports: [String: Set<String>] = [
    "Platform": ["CPlatform"],
    "JSON": [],
    "Observability": ["JSON", "Platform"],
    "Configuration": ["JSON", "Observability"],
    "Tensors": ["CKernels"],
    "ModelFiles": ["Tensors"],
    "Tokenizers": ["ModelFiles", "CPCRE2"],
    "ChatTemplates": [],
    "Sampling": [],
    "Models": ["Tensors", "ModelFiles"],
    "EngineProtocol": [],
    "SharedMemory": [],
    "EngineLink": ["SharedMemory", "EngineProtocol"],
    "Supervision": ["EngineLink", "EngineProtocol"],
    "Scheduling": ["EngineProtocol"],
    "NativeEngine": [
        "Scheduling", "Sampling", "Tokenizers", "ChatTemplates", "Models", "Tensors", "ModelFiles", "EngineProtocol",
    ],
    "RKLLMEngine": ["CRKLLM", "EngineProtocol"],
    "WorkerHost": ["NativeEngine", "RKLLMEngine", "EngineLink", "EngineProtocol", "CDemoModel", "CSeccomp"],
    "Policies": ["EngineProtocol"],
    "Serving": ["Policies", "Supervision", "EngineLink", "EngineProtocol"],
    "HTTPServer": [],
    "OpenAIAPI": ["HTTPServer", "Serving", "EngineProtocol"],
    "RPCServer": ["Serving", "EngineProtocol"],
    "LocalServer": ["Serving", "SharedMemory", "EngineLink", "EngineProtocol"],
    "Gateway": [
        "CConsole", "Policies", "Serving", "HTTPServer", "OpenAIAPI", "RPCServer", "LocalServer", "Supervision",
        "EngineLink", "EngineProtocol",
    ],
    "ApusClient": ["SharedMemory", "EngineLink", "EngineProtocol"],
    "RKLLMLibrary": ["Supervision", "EngineProtocol"],
    "RKLLM12": ["CRKLLM12", "RKLLMLibrary"],
    "RKLLM13": ["CRKLLM13", "RKLLMLibrary"],
    "apus": ["Gateway"],
    "apus-worker": ["WorkerHost"],
]

/// Rooms of the floor "System" are open to every room above it; inside the floor, only what the table says.
private let systemFloor: Set<String> = ["Platform", "JSON", "Observability", "Configuration"]
private let standardLibrary: Set<String> = ["Swift", "Synchronization", "Glibc"]

@Suite struct ImportTests {
    @Test func everyFileImportsOnlyWhatItsRoomMay() throws {
        let files = try SourceTree.files(below: ["Sources"], endings: ["swift"])
        #expect(!files.isEmpty)
        for file in files {
            guard let table = allowedImports[file.room] else {
                Issue.record("\(file.path): the room \(file.room) is not in the table")
                continue
            }
            var allowed = table.union(standardLibrary)
            if !systemFloor.contains(file.room) { allowed.formUnion(systemFloor) }
            for module in file.imports where !allowed.contains(module) {
                Issue.record("\(file.path) imports \(module), which \(file.room) may not")
            }
        }
    }

    @Test func aLineWithAnImportIsRecognised() {
        let file = SourceFile(
            path: "Sources/System/JSON/X.swift",
            lines: [
                "import A", "public import B", "internal import struct C.D", "@testable import E", "// import F",
                "importance = 1",
            ])
        #expect(file.imports == ["A", "B", "C", "E"])
    }
}

extension SourceFile {
    /// The modules named after `import`, whatever stands before the word.
    var imports: [String] {
        lines.compactMap { line in
            let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
            guard let place = words.firstIndex(of: "import"), place + 1 < words.count,
                words[..<place].allSatisfy({ $0.hasPrefix("@") || accessLevels.contains(String($0)) })
            else { return nil }
            let kinds: Set<Substring> = ["struct", "class", "enum", "protocol", "func", "var", "let", "typealias"]
            let name = kinds.contains(words[place + 1]) && place + 2 < words.count ? words[place + 2] : words[place + 1]
            return name.split(separator: ".").first.map(String.init)
        }
    }
}

private let accessLevels: Set<String> = ["public", "package", "internal", "fileprivate", "private"]
