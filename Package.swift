// swift-tools-version: 6.2
import Foundation
import PackageDescription

/// Every Swift target is built with the same settings.
let swiftSettings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .treatAllWarnings(as: .error),
    .unsafeFlags(["-cross-module-optimization"], .when(configuration: .release)),
]

/// C code is small and hot: it is optimised in every configuration.
let cSettings: [CSetting] = [
    .treatAllWarnings(as: .error),
    .define("_GNU_SOURCE"),
    .unsafeFlags(["-O3", "-std=gnu2x", "-ffp-contract=off"]),
]

func c(_ name: String, in floor: String) -> Target {
    .target(name: name, path: "Sources/\(floor)/\(name)", cSettings: cSettings)
}

func library(_ name: String, in floor: String, _ dependencies: [String] = []) -> Target {
    .target(
        name: name, dependencies: dependencies.map { .byName(name: $0) },
        path: "Sources/\(floor)/\(name)", swiftSettings: swiftSettings)
}

func program(_ name: String, path: String, _ dependencies: [String]) -> Target {
    .executableTarget(
        name: name, dependencies: dependencies.map { .byName(name: $0) },
        path: path, swiftSettings: swiftSettings)
}

func tests(_ room: String, _ dependencies: [String] = []) -> Target {
    .testTarget(
        name: "\(room)Tests", dependencies: ([room] + dependencies.filter { $0 != room }).map { .byName(name: $0) },
        path: "Tests/\(room)Tests", swiftSettings: swiftSettings)
}

let system = ["CPlatform", "Platform", "JSON", "Observability", "Configuration"]

/// The rooms, floor by floor.
///
/// Imports point down only; `Tests/TidyTests` checks every file against this table.
let rooms: [Target] = [
    // System
    c("CPlatform", in: "System"),
    library("Platform", in: "System", ["CPlatform"]),
    library("JSON", in: "System"),
    library("Observability", in: "System", ["JSON", "Platform"]),
    library("Configuration", in: "System", ["JSON", "Observability"]),
    // Numerics
    c("CKernels", in: "Numerics"),
    library("Tensors", in: "Numerics", ["CKernels"] + system),
    library("ModelFiles", in: "Numerics", ["Tensors"] + system),
    // Language
    .systemLibrary(
        name: "CPCRE2", path: "Sources/Language/CPCRE2", pkgConfig: "libpcre2-8", providers: [.apt(["libpcre2-dev"])]),
    .systemLibrary(
        name: "CUtf8proc", path: "Sources/Language/CUtf8proc", pkgConfig: "libutf8proc",
        providers: [.apt(["libutf8proc-dev"])]),
    library("Tokenizers", in: "Language", ["ModelFiles", "CPCRE2", "CUtf8proc"] + system),
    library("ChatTemplates", in: "Language", system),
    library("Sampling", in: "Language", system),
    // Models
    library("Models", in: "Models", ["Tensors", "ModelFiles"] + system),
    // Link
    library("EngineProtocol", in: "Link", system),
    library("EngineLink", in: "Link", ["EngineProtocol"] + system),
    library("Supervision", in: "Link", ["EngineLink", "EngineProtocol"] + system),
    // Engine
    c("CDemoModel", in: "Engine"),
    library("Scheduling", in: "Engine", ["EngineProtocol"] + system),
    library(
        "NativeEngine", in: "Engine",
        ["Scheduling", "Sampling", "Tokenizers", "ChatTemplates", "Models", "Tensors", "ModelFiles", "EngineProtocol"]
            + system),
    library(
        "WorkerHost", in: "Engine", ["NativeEngine", "EngineLink", "EngineProtocol", "CDemoModel"] + system),
    // Gateway
    c("CConsole", in: "Gateway"),
    library("Policies", in: "Gateway", ["EngineProtocol"] + system),
    library("Serving", in: "Gateway", ["Policies", "Supervision", "EngineLink", "EngineProtocol"] + system),
    library("HTTPServer", in: "Gateway", system),
    library("OpenAIAPI", in: "Gateway", ["HTTPServer", "Serving", "EngineProtocol"] + system),
    library(
        "Gateway", in: "Gateway",
        [
            "CConsole", "Policies", "Serving", "HTTPServer", "OpenAIAPI", "Supervision", "EngineLink", "EngineProtocol",
        ] + system),
    // Programs
    program("apus", path: "Sources/Programs/apus", ["Gateway"] + system),
    program("apus-worker", path: "Sources/Programs/apus-worker", ["WorkerHost"] + system),
    program("apus-benchmarks", path: "Benchmarks/apus-benchmarks", system),
]

let testRooms: [Target] = [
    .target(name: "TestSupport", path: "Tests/TestSupport", swiftSettings: swiftSettings),
    tests("Platform", ["TestSupport"] + system),
    tests("JSON", ["TestSupport"] + system),
    tests("Observability", ["TestSupport"] + system),
    tests("Configuration", ["TestSupport"] + system),
    tests("Tensors", ["TestSupport", "CKernels"] + system),
    tests("ModelFiles", ["TestSupport", "Tensors"] + system),
    tests("Tokenizers", ["TestSupport", "ModelFiles", "Tensors"] + system),
    tests("ChatTemplates", ["TestSupport"] + system),
    tests("Sampling", ["TestSupport"] + system),
    tests("Models", ["TestSupport", "ModelFiles", "Tensors"] + system),
    tests("EngineProtocol", ["TestSupport"] + system),
    tests("EngineLink", ["TestSupport", "EngineProtocol"] + system),
    tests("Supervision", ["TestSupport", "EngineLink", "EngineProtocol"] + system),
    tests("Scheduling", ["TestSupport", "EngineProtocol"] + system),
    tests("NativeEngine", ["TestSupport", "EngineProtocol", "Models", "Tensors", "ModelFiles", "Tokenizers"] + system),
    tests("WorkerHost", ["TestSupport", "EngineLink", "EngineProtocol"] + system),
    tests("Policies", ["TestSupport", "EngineProtocol"] + system),
    tests("Serving", ["TestSupport", "EngineLink", "EngineProtocol", "Supervision", "Policies"] + system),
    tests("HTTPServer", ["TestSupport"] + system),
    tests("OpenAIAPI", ["TestSupport", "HTTPServer", "Serving", "EngineProtocol"] + system),
    tests("Gateway", ["TestSupport", "HTTPServer", "EngineLink", "EngineProtocol", "apus", "apus-worker"] + system),
    .testTarget(
        name: "TidyTests", dependencies: ["TestSupport"], path: "Tests/TidyTests", swiftSettings: swiftSettings),
]

let everything = rooms + testRooms
let present = Set(
    everything.filter { FileManager.default.fileExists(atPath: Context.packageDirectory + "/" + ($0.path ?? "")) }.map(
        \.name))
for target in everything {
    target.dependencies.removeAll {
        if case .byNameItem(let name, _) = $0 { return !present.contains(name) }
        return false
    }
}

let package = Package(name: "apus", targets: everything.filter { present.contains($0.name) })
