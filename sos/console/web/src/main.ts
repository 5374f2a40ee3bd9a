import { mount } from "svelte";
import App from "./App.svelte";
import "./app.css";
import { desk } from "./desk.svelte";
import { choose, language } from "./i18n.svelte";

choose(language());
mount(App, { target: document.getElementById("console")! });
desk.begin();
