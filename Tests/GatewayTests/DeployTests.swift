import Foundation
import TestSupport
import Testing

/// The units in `deploy/`, read by systemd's own checker where it is installed.
@Suite struct DeployTests {
    private static let checker = "/usr/bin/systemd-analyze"

    @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: checker), "systemd-analyze is not installed"))
    func systemdFindsNothingWrongInTheUnits() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("apus-units-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        var paths: [String] = []
        for name in ["apus.service", "apus.socket"] {
            let unit = Fixtures.packageRoot.appendingPathComponent("deploy/\(name)")
            // The checker wants the program to be there.
            let text = try String(contentsOf: unit, encoding: .utf8)
                .replacingOccurrences(of: "/usr/local/lib/apus/apus", with: Programs.path("apus"))
            let copy = folder.appendingPathComponent(name)
            try text.write(to: copy, atomically: true, encoding: .utf8)
            paths.append(copy.path)
        }
        let output = try Programs.run(Self.checker, ["verify", "--man=no", "--recursive-errors=no"] + paths)
        #expect(output.status == 0 && output.standardError.isEmpty, "\(output.standardError)")
    }
}
