/** look.css as a module, made by the server. */
declare const css: string;
export default css;
