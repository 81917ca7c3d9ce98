// swift-tools-version: 6.2
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

/// - Parameter file: what the C code takes in, and no compiler reads by itself.
func c(_ name: String, in floor: String, embedding file: String? = nil) -> Target {
    .target(name: name, path: "Sources/\(floor)/\(name)", exclude: file.map { [$0] } ?? [], cSettings: cSettings)
}

func library(_ name: String, in floor: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(
        name: name, dependencies: dependencies, path: "Sources/\(floor)/\(name)", swiftSettings: swiftSettings)
}

/// One of the drop-in libraries for programs that were written for the RKLLM runtime.
///
/// Such a program is no Swift program, so the library brings the Swift runtime along, and shows nothing but the functions of
/// the interface.
func dropIn(_ family: String) -> Target {
    .target(
        name: "RKLLM\(family)", dependencies: [.byName(name: "CRKLLM\(family)"), "RKLLMLibrary"],
        path: "Sources/Client/RKLLM\(family)", swiftSettings: swiftSettings,
        linkerSettings: [
            .unsafeFlags(
                [
                    "-static-stdlib",
                    "-Xlinker", "--version-script=\(Context.packageDirectory)/Sources/Client/RKLLMLibrary/exports.map",
                    "-Xlinker", "-soname=librkllmrt.so", "-Xlinker", "-z", "-Xlinker", "nodelete",
                ])
        ])
}

func program(_ name: String, path: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(name: name, dependencies: dependencies, path: path, swiftSettings: swiftSettings)
}

/// Tests of one room.
///
/// Goldens are read from the source tree, with the scripts that made them.
func tests(_ room: String, _ dependencies: [Target.Dependency] = [], goldens: Bool = false) -> Target {
    .testTarget(
        name: "\(room)Tests", dependencies: [.byName(name: room), "TestSupport"] + dependencies,
        path: "Tests/\(room)Tests", exclude: goldens ? ["Goldens"] : [], swiftSettings: swiftSettings)
}

/// The floor that every room above it may use.
let system: [Target.Dependency] = ["CPlatform", "Platform", "JSON", "Observability", "Configuration"]

/// The rooms, floor by floor.
///
/// Imports point down only; `Tests/TidyTests` checks every file against its own copy of this table.
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
    library("Tokenizers", in: "Language", ["ModelFiles", "CPCRE2"] + system),
    library("ChatTemplates", in: "Language", system),
    library("Sampling", in: "Language", system),
    // Models
    library("Models", in: "Models", ["Tensors", "ModelFiles"] + system),
    // Link
    library("EngineProtocol", in: "Link", system),
    library("SharedMemory", in: "Link", system),
    library("EngineLink", in: "Link", ["SharedMemory", "EngineProtocol"] + system),
    library("Supervision", in: "Link", ["EngineLink", "EngineProtocol"] + system),
    // Engine
    c("CDemoModel", in: "Engine", embedding: "apus-demo.gguf"),
    library("Scheduling", in: "Engine", ["EngineProtocol"] + system),
    library(
        "NativeEngine", in: "Engine",
        ["Scheduling", "Sampling", "Tokenizers", "ChatTemplates", "Models", "Tensors", "ModelFiles", "EngineProtocol"]
            + system),
    c("CRKLLM", in: "Engine", embedding: "family.inc"),
    library("RKLLMEngine", in: "Engine", ["CRKLLM", "EngineProtocol"] + system),
    .systemLibrary(
        name: "CSeccomp", path: "Sources/Engine/CSeccomp", pkgConfig: "libseccomp",
        providers: [.apt(["libseccomp-dev"])]),
    library(
        "WorkerHost", in: "Engine",
        ["NativeEngine", "RKLLMEngine", "EngineLink", "EngineProtocol", "CDemoModel", "CSeccomp"] + system),
    // Gateway
    c("CConsole", in: "Gateway", embedding: "console.html"),
    library("Policies", in: "Gateway", ["EngineProtocol"] + system),
    library("Serving", in: "Gateway", ["Policies", "Supervision", "EngineLink", "EngineProtocol"] + system),
    library("HTTPServer", in: "Gateway", system),
    library("OpenAIAPI", in: "Gateway", ["HTTPServer", "Serving", "EngineProtocol"] + system),
    library("RPCServer", in: "Gateway", ["Serving", "EngineProtocol"] + system),
    library(
        "LocalServer", in: "Gateway", ["Serving", "SharedMemory", "EngineLink", "EngineProtocol"] + system),
    library(
        "Gateway", in: "Gateway",
        [
            "CConsole", "Policies", "Serving", "HTTPServer", "OpenAIAPI", "RPCServer", "LocalServer", "Supervision",
            "EngineLink", "EngineProtocol",
        ] + system),
    // Client
    library("ApusClient", in: "Client", ["SharedMemory", "EngineLink", "EngineProtocol"] + system),
    .systemLibrary(name: "CRKLLM12", path: "Sources/Client/CRKLLM12"),
    .systemLibrary(name: "CRKLLM13", path: "Sources/Client/CRKLLM13"),
    .target(
        name: "RKLLMLibrary", dependencies: ["Supervision", "EngineProtocol"] + system,
        path: "Sources/Client/RKLLMLibrary", exclude: ["exports.map"], swiftSettings: swiftSettings),
    dropIn("12"),
    dropIn("13"),
    // Programs
    program("apus", path: "Sources/Programs/apus", ["Gateway"]),
    program("apus-worker", path: "Sources/Programs/apus-worker", ["WorkerHost"]),
    .target(name: "CFloatPeak", path: "Benchmarks/CFloatPeak", cSettings: cSettings),
    program(
        "apus-benchmarks", path: "Benchmarks/apus-benchmarks",
        [
            "CFloatPeak", "JSON", "Platform", "Tensors", "ModelFiles", "Models", "SharedMemory", "EngineProtocol",
            "EngineLink", "ApusClient",
        ]),
    program("apus-example", path: "examples/swift", ["ApusClient", "EngineProtocol", "JSON"]),
]

let testRooms: [Target] = [
    .target(
        name: "TestSupport", dependencies: ["EngineProtocol"], path: "Tests/TestSupport", swiftSettings: swiftSettings),
    program("apus-faulty-worker", path: "Tests/FaultyWorker", ["EngineLink", "EngineProtocol", "Platform"]),
    .testTarget(
        name: "TidyTests", dependencies: ["TestSupport"], path: "Tests/TidyTests", swiftSettings: swiftSettings),
    tests("Platform", ["CPlatform"]),
    tests("JSON"),
    tests("Observability", ["JSON", "Platform"]),
    tests("Configuration", ["JSON", "Observability", "Platform"]),
    tests("Tensors", ["CKernels"] + system, goldens: true),
    tests("ModelFiles", ["Tensors"] + system),
    tests("Tokenizers", ["ModelFiles", "Tensors"] + system, goldens: true),
    tests("ChatTemplates", system, goldens: true),
    tests("Sampling", system, goldens: true),
    tests("Models", ["ModelFiles", "Tensors"] + system, goldens: true),
    tests("EngineProtocol", system, goldens: true),
    .target(
        name: "RingTestSupport", dependencies: ["SharedMemory", "TestSupport"] + system,
        path: "Tests/RingTestSupport", swiftSettings: swiftSettings),
    .target(name: "CRingPeer", path: "Tests/CRingPeer", cSettings: cSettings),
    program("apus-ring-peer", path: "Tests/RingPeer", ["RingTestSupport", "CRingPeer", "SharedMemory", "Platform"]),
    tests("SharedMemory", ["RingTestSupport", "apus-ring-peer"] + system, goldens: true),
    tests("EngineLink", ["SharedMemory", "EngineProtocol"] + system),
    tests("Supervision", ["EngineLink", "EngineProtocol"] + system),
    tests("Scheduling", ["EngineProtocol"] + system),
    tests("NativeEngine", ["EngineProtocol", "Scheduling", "Models", "Tensors", "ModelFiles", "Tokenizers"] + system),
    tests("RKLLMEngine", ["EngineProtocol"] + system),
    tests(
        "WorkerHost",
        ["NativeEngine", "RKLLMEngine", "ModelFiles", "EngineLink", "EngineProtocol", "apus-worker"] + system),
    tests("Policies", ["EngineProtocol"] + system),
    tests(
        "ApusClient",
        ["SharedMemory", "EngineProtocol", "apus", "apus-worker", "apus-faulty-worker"] + system),
    // Of the libraries it has only the files: their symbols are for programs of others.
    .testTarget(
        name: "RKLLMLibraryTests",
        dependencies: ["TestSupport", "Supervision", "EngineProtocol", "Observability", "apus", "apus-worker"],
        path: "Tests/RKLLMLibraryTests", exclude: ["Driver"], swiftSettings: swiftSettings),
    tests("Serving", ["EngineLink", "EngineProtocol", "Supervision", "Policies"] + system),
    tests("HTTPServer", system),
    tests("OpenAIAPI", ["HTTPServer", "Serving", "EngineProtocol", "Policies", "Supervision"] + system),
    tests(
        "RPCServer",
        ["Serving", "EngineProtocol", "Policies", "Supervision", "apus", "apus-worker"] + system, goldens: true),
    tests(
        "Gateway",
        ["HTTPServer", "EngineLink", "EngineProtocol", "apus", "apus-worker", "apus-faulty-worker", "apus-example"]
            + system),
]

/// Programs for `make fuzz`: the first one gets its `main` from the fuzzer's library.
let fuzzers: [Target] =
    Context.environment["APUS_FUZZ"] == nil
    ? []
    : [
        .executableTarget(
            name: "apus-fuzz-messages", dependencies: ["EngineProtocol", "SharedMemory"], path: "Tests/Fuzz/Messages",
            swiftSettings: swiftSettings + [.unsafeFlags(["-parse-as-library"])]),
        program("apus-fuzz-rings", path: "Tests/Fuzz/Rings", ["RingTestSupport"]),
    ]

let package = Package(
    name: "apus",
    products: [
        // What a program needs that talks to the local door.
        .library(name: "ApusClient", targets: ["ApusClient", "EngineProtocol", "JSON"]),
        .library(name: "rkllm-1.2", type: .dynamic, targets: ["RKLLM12"]),
        .library(name: "rkllm-1.3", type: .dynamic, targets: ["RKLLM13"]),
    ],
    targets: rooms + testRooms + fuzzers)
