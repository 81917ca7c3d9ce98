import Gateway
import Glibc

@main
struct Apus {
    static func main() {
        exit(CommandLineProgram.run(CommandLine.arguments))
    }
}
