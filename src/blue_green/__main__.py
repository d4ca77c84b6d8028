from blue_green.cli import main

raise SystemExit(main())
